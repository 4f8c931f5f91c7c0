//! The token file of `--token-auth-file`: one token a line, `token,user,uid[,"group1,group2"]`.

use crate::user::UserInfo;
use ring::digest::{SHA256, digest};
use std::collections::HashMap;

/// The tokens of a file. Kept as digests: neither memory nor the time of a look-up tells a token.
#[derive(Clone, Default)]
pub struct StaticTokens(HashMap<[u8; 32], UserInfo>);

impl StaticTokens {
    /// Reads a token file; `name` is what errors call it. Lines without a token are passed over; of two equal tokens
    /// the later line counts.
    pub fn parse(text: &str, name: &str) -> Result<Self, String> {
        let mut tokens = HashMap::new();
        for (line, record) in
            records(text).map_err(|(line, why)| format!("token file '{name}', line {line}: {why}"))?
        {
            let [token, user, uid, rest @ ..] = record.as_slice() else {
                return Err(format!(
                    "token file '{name}', line {line} must have at least 3 columns (token, user name, user uid), found {}",
                    record.len()
                ));
            };
            if token.is_empty() {
                continue;
            }
            let groups = rest.first().map(|groups| groups.split(',').map(str::to_owned).collect());
            let user = UserInfo {
                username: user.clone(),
                uid: uid.clone(),
                groups: groups.unwrap_or_default(),
                ..UserInfo::default()
            };
            tokens.insert(key(token), user);
        }
        Ok(Self(tokens))
    }

    /// Whose token is it? (`system:authenticated` is not added.)
    pub fn user(&self, token: &str) -> Option<&UserInfo> {
        self.0.get(&key(token))
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

type Records = Vec<(usize, Vec<String>)>;

/// Comma-separated values with `"` quoting (doubled inside), as Go's reader takes them; blank lines are skipped. Each
/// record comes with the line it begins on.
fn records(text: &str) -> Result<Records, (usize, &'static str)> {
    let mut records = Records::new();
    let (mut record, mut field) = (Vec::new(), String::new());
    let (mut line, mut first_line) = (1, 1);
    let mut characters = text.chars().peekable();
    loop {
        match characters.next() {
            Some('"') if field.is_empty() => {
                quoted(&mut characters, &mut field, &mut line)?;
                if !matches!(characters.peek(), None | Some(',' | '\n' | '\r')) {
                    return Err((line, "extraneous or missing \" in quoted-field"));
                }
            }
            Some('"') => return Err((line, "bare \" in non-quoted-field")),
            Some(',') => record.push(std::mem::take(&mut field)),
            Some('\r') if matches!(characters.peek(), None | Some('\n')) => {}
            end @ (Some('\n') | None) => {
                if !(record.is_empty() && field.is_empty()) {
                    record.push(std::mem::take(&mut field));
                    records.push((first_line, std::mem::take(&mut record)));
                }
                if end.is_none() {
                    return Ok(records);
                }
                line += 1;
                first_line = line;
            }
            Some(character) => field.push(character),
        }
    }
}

/// The rest of a quoted field, after its opening quote.
fn quoted(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    field: &mut String,
    line: &mut usize,
) -> Result<(), (usize, &'static str)> {
    loop {
        match characters.next() {
            None => return Err((*line, "extraneous or missing \" in quoted-field")),
            Some('"') if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            Some('"') => return Ok(()),
            Some(character) => {
                *line += usize::from(character == '\n');
                field.push(character);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_by_token() {
        let text =
            "t1,jane,u1\r\n\nt2,\"joe \"\"j\"\"\",u2,\"a,b\"\n,nobody,x\nt3,old,u3\nt3,new,u3,g,ignored\n";
        let tokens = StaticTokens::parse(text, "f").unwrap();
        let user = |token: &str| {
            tokens.user(token).map(|user| (user.username.as_str(), user.uid.as_str(), user.groups.join("|")))
        };
        for (token, found) in [
            ("t1", Some(("jane", "u1", String::new()))),
            ("t2", Some(("joe \"j\"", "u2", "a|b".to_owned()))),
            ("t3", Some(("new", "u3", "g".to_owned()))),
            ("", None),
            ("t4", None),
        ] {
            assert_eq!(user(token), found, "{token}");
        }
        assert_eq!(tokens.len(), 3);
    }

    #[test]
    fn clear_errors() {
        for (text, error) in [
            (
                "a,b",
                "token file 'f', line 1 must have at least 3 columns (token, user name, user uid), found 2",
            ),
            (
                "a,b,c\n\nx",
                "token file 'f', line 3 must have at least 3 columns (token, user name, user uid), found 1",
            ),
            ("a,b,c,\"d", "token file 'f', line 1: extraneous or missing \" in quoted-field"),
            ("a,b,c,\"d\"e", "token file 'f', line 1: extraneous or missing \" in quoted-field"),
            ("a,b\"c,d", "token file 'f', line 1: bare \" in non-quoted-field"),
        ] {
            assert_eq!(StaticTokens::parse(text, "f").err().as_deref(), Some(error));
        }
        assert!(StaticTokens::parse("", "f").unwrap().is_empty());
    }
}
