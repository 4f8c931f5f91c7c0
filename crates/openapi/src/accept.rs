//! `Accept` headers.

/// One entry of an `Accept` header.
#[derive(Debug)]
pub(crate) struct Clause<'a> {
    pub media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    pub fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| v)
    }

    /// Accepts this media type, by its name or by a wildcard.
    pub fn takes(&self, media: &str) -> bool {
        let family = media.split('/').next().unwrap_or("");
        self.media == media || self.media == "*/*" || self.media.strip_suffix("/*") == Some(family)
    }
}

/// The entries by quality, best first; an empty header accepts everything.
pub(crate) fn clauses(header: &str) -> Vec<Clause<'_>> {
    let header = if header.trim().is_empty() { "*/*" } else { header };
    let mut out: Vec<(f32, Clause<'_>)> = header
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let parameters: Vec<_> = parts.filter_map(|p| p.split_once('=')).collect();
            let clause = Clause { media, parameters };
            (clause.parameter("q").parse().unwrap_or(1.0), clause)
        })
        .collect();
    out.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    out.into_iter().map(|(_, clause)| clause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_comes_first() {
        let media = |header: &'static str| clauses(header).iter().map(|c| c.media).collect::<Vec<_>>();
        assert_eq!(media("a/b;q=0.5, c/d ,*/*;q=0.1"), ["c/d", "a/b", "*/*"]);
        assert_eq!(media(""), ["*/*"]);
        assert!(clauses("application/*")[0].takes("application/json"));
        assert!(!clauses("text/*")[0].takes("application/json"));
        assert_eq!(clauses("application/json;g=x;v=v2")[0].parameter("v"), "v2");
    }
}
