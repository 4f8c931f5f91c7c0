//! Numbers out of many runs, and out of `/proc`.

use std::fs;

/// The value that `share` (0 to 1) of all are not above.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// The middle value; of an even number, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Resident memory of a process in bytes, as `/proc` tells it (`VmRSS`; pages of the program file included).
pub(crate) fn resident(process: u32) -> Result<f64, String> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).map_err(|e| e.to_string())?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kilobytes.map(|k| k * 1024.0).ok_or_else(|| format!("/proc/{process}/status tells no VmRSS"))
}

/// Processor time a process has used so far, in seconds, in user and kernel mode.
pub(crate) fn processor_time(process: u32) -> Result<f64, String> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).map_err(|e| e.to_string())?;
    // The program's name, in parentheses, may hold anything; utime and stime are the 12th and 13th field after it.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>());
    let ticks = |index: usize| fields.as_ref()?.get(index)?.parse::<f64>().ok();
    match (ticks(11), ticks(12)) {
        // USER_HZ is 100 wherever Linux runs on x86-64 and arm64.
        (Some(user), Some(kernel)) => Ok((user + kernel) / 100.0),
        _ => Err(format!("/proc/{process}/stat is not understood")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&values, 0.5), percentile(&values, 0.99)), (50.0, 99.0));
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn this_process_uses_memory() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > 1e5 && processor_time(own).unwrap() >= 0.0);
    }
}
