//! Lists of indexes as Jobs write them: `1,3-5,7`.

/// The intervals of a list, each within `0..completions`, in order and apart.
pub fn parse(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut intervals: Vec<(i64, i64)> = vec![];
    if text.is_empty() {
        return Ok(intervals);
    }
    for part in text.split(',') {
        let limits: Vec<_> = part.split('-').collect();
        if limits.len() > 2 {
            return Err(format!(
                "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
                object::error::quote(part)
            ));
        }
        let number = |text: &str| {
            text.parse::<i64>().map_err(|_| {
                format!("cannot convert string to integer for index: {}", object::error::quote(text))
            })
        };
        let first = number(limits[0])?;
        if first >= completions {
            return Err(format!("too large index: {}", object::error::quote(limits[0])));
        }
        if let Some((_, last)) = intervals.last()
            && *last >= first
        {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        let mut last = first;
        if let Some(end) = limits.get(1) {
            last = number(end)?;
            if last >= completions {
                return Err(format!("too large index: {}", object::error::quote(end)));
            }
            if first >= last {
                return Err(format!("non-increasing order, previous: {first}, current: {last}"));
            }
        }
        intervals.push((first, last));
    }
    Ok(intervals)
}

/// How many indexes a list holds.
pub fn count(text: &str, completions: i64) -> Result<i64, String> {
    Ok(parse(text, completions)?.iter().map(|(first, last)| last - first + 1).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_indexes() {
        assert_eq!(count("0,2-4,9", 10), Ok(5));
        assert_eq!(count("", 10), Ok(0));
        assert_eq!(count("10", 10), Err("too large index: \"10\"".into()));
        assert_eq!(count("3,1", 10), Err("non-increasing order, previous: 3, current: 1".into()));
        assert!(count("a", 10).is_err() && count("1-2-3", 10).is_err() && count("4-2", 10).is_err());
    }
}
