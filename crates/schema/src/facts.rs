//! The text of `facts/types.txt`, indexed: which lines describe which type. Everything else that reads the table
//! ([`crate::load`], the protobuf codec, Go's names in error messages) goes through here.
//!
//! The table is generated (`cargo xtask facts`) and checked in, so a malformed line is a defect of the build, not
//! input; lines that do not fit are passed over.

use rustc_hash::FxHashMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("../facts/types.txt");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::index(TEXT));

/// The indexed table.
pub(crate) fn table() -> &'static Table {
    &TABLE
}

/// A Go package: what types of one API version share.
#[derive(Debug)]
pub(crate) struct Package {
    /// Short key, `core.v1`.
    pub key: &'static str,
    /// What OpenAPI puts before the type's name, `io.k8s.api.core.v1`.
    pub prefix: &'static str,
    /// What Go calls it, `v1`.
    pub go_name: &'static str,
    /// `GROUP/VERSION`, if it holds kinds.
    pub group_version: Option<&'static str>,
}

/// The lines of one struct.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Its place in [`Table::entries`].
    pub index: usize,
    /// Index of its package in [`Table::packages`].
    pub package: usize,
    /// Name within the package.
    pub name: &'static str,
    /// What follows the name on its line.
    pub attributes: &'static str,
    lines: &'static str,
}

/// One line of a struct.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// JSON name, `+` or `&`.
    pub name: &'static str,
    /// Protobuf tag; `None` if not sent.
    pub tag: Option<u32>,
    /// Option letters.
    pub flags: &'static str,
    /// Go type, relative to the struct's package.
    pub go_type: &'static str,
    /// The rest.
    pub attributes: &'static str,
}

/// What a Go type name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Meaning {
    /// A struct.
    Struct(Entry),
    /// Another name of a Go type, relative to the package with this index.
    Alias(usize, &'static str),
}

/// All packages, structs and aliases.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Packages in the order of the file.
    pub packages: Vec<Package>,
    /// Structs in the order of the file.
    pub entries: Vec<Entry>,
    keys: FxHashMap<&'static str, usize>,
    names: FxHashMap<(usize, &'static str), Meaning>,
}

impl Table {
    fn index(text: &'static str) -> Self {
        let mut table = Self::default();
        let mut rest = text;
        while let Some(end) = rest.find('\n') {
            let (line, tail) = (&rest[..end], &rest[end + 1..]);
            let mut words = line.splitn(3, ' ');
            let (word, name, more) = (words.next(), words.next().unwrap_or(""), words.next().unwrap_or(""));
            rest = tail;
            match word {
                Some("package") => table.open(name, more),
                Some("alias") if !table.packages.is_empty() => {
                    let at = table.packages.len() - 1;
                    table.names.insert((at, name), Meaning::Alias(at, more));
                }
                Some("type") if !table.packages.is_empty() => {
                    let length = body_length(tail);
                    table.add(name, more, &tail[..length]);
                    rest = &tail[length..];
                }
                _ => {}
            }
        }
        table
    }

    fn open(&mut self, key: &'static str, more: &'static str) {
        let mut words = more.split(' ');
        let (prefix, go_name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        self.keys.insert(key, self.packages.len());
        self.packages.push(Package { key, prefix, go_name, group_version: words.next() });
    }

    fn add(&mut self, name: &'static str, attributes: &'static str, lines: &'static str) {
        let package = self.packages.len() - 1;
        let entry = Entry { index: self.entries.len(), package, name, attributes, lines };
        self.entries.push(entry);
        self.names.insert((package, name), Meaning::Struct(entry));
    }

    /// What `name`, bare or `package.Name`, means to `package`.
    pub fn meaning(&self, package: usize, name: &str) -> Option<Meaning> {
        match name.rsplit_once('.') {
            None => self.names.get(&(package, name)).copied(),
            Some((key, name)) => {
                let package = *self.keys.get(key)?;
                self.names.get(&(package, name)).copied()
            }
        }
    }

    /// The struct that `name` means to `package`, if it means one.
    pub fn structure(&self, package: usize, name: &str) -> Option<Entry> {
        match self.meaning(package, name.trim_start_matches('*'))? {
            Meaning::Struct(entry) => Some(entry),
            Meaning::Alias(package, target) => self.structure(package, target),
        }
    }

    /// The key of the package that a Go type name of `package` is in, and the name there.
    pub fn split<'n>(&self, package: usize, name: &'n str) -> (&'n str, &'n str)
    where
        'static: 'n,
    {
        name.rsplit_once('.').unwrap_or((self.packages[package].key, name))
    }
}

/// Bytes of the indented lines at the start of `text`.
fn body_length(text: &str) -> usize {
    let mut length = 0;
    for line in text.split_inclusive('\n').take_while(|l| l.starts_with(' ')) {
        length += line.len();
    }
    length
}

impl Entry {
    /// Its lines in the order of the file.
    pub fn lines(&self) -> impl Iterator<Item = Line> + use<> {
        self.lines.lines().map(|line| {
            let mut words = line.trim_start().splitn(5, ' ');
            let mut next = || words.next().unwrap_or("");
            Line {
                name: next(),
                tag: next().parse().ok(),
                flags: next(),
                go_type: next(),
                attributes: next(),
            }
        })
    }
}

/// The value of `name=value` among space-separated words.
pub(crate) fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    attributes.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}
