//! Just enough of `tar` for `kubectl cp`: plain files in ustar archives.

use super::Files;

const BLOCK: usize = 512;

/// An archive of the file `path`, or of all files under it; `None` if there are none. Names lose their leading slash.
pub(super) fn pack(files: &Files, path: &str) -> Option<Vec<u8>> {
    let folder = format!("{}/", path.trim_end_matches('/'));
    let mut archive = vec![];
    for (name, bytes) in files.iter().filter(|(name, _)| *name == path || name.starts_with(&folder)) {
        let name = name.trim_start_matches('/');
        // Longer names need extensions that nobody here needs.
        if name.len() > 100 {
            continue;
        }
        archive.extend_from_slice(&header(name, bytes.len()));
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    if archive.is_empty() {
        return None;
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Some(archive)
}

fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// The plain files of an archive; `None` if it is none, or cut off.
pub(super) fn unpack(mut archive: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut files = vec![];
    while let Some((header, rest)) = archive.split_at_checked(BLOCK) {
        if header.iter().all(|b| *b == 0) {
            return Some(files);
        }
        let text = |from: usize, to: usize| {
            let field = header[from..to].split(|b| *b == 0).next().unwrap_or(&[]);
            std::str::from_utf8(field).ok().map(str::trim)
        };
        let size = usize::from_str_radix(text(124, 136)?, 8).ok()?;
        let (body, tail) = rest.split_at_checked(size)?;
        if matches!(header[156], b'0' | 0) {
            let (prefix, name) = (text(345, 500)?, text(0, 100)?);
            files.push((
                if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") },
                body.to_vec(),
            ));
        }
        archive = tail.get(size.next_multiple_of(BLOCK) - size..).unwrap_or(&[]);
    }
    (archive.is_empty() && !files.is_empty()).then_some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back() {
        let files =
            Files::from([("/a/x".into(), vec![1; 700]), ("/a/y/z".into(), vec![]), ("/ab".into(), vec![2])]);
        let archive = pack(&files, "/a").unwrap();
        assert_eq!(archive.len() % BLOCK, 0);
        assert_eq!(unpack(&archive), Some(vec![("a/x".into(), vec![1; 700]), ("a/y/z".into(), vec![])]));
        assert_eq!(unpack(&pack(&files, "/ab").unwrap()).unwrap()[0], ("ab".into(), vec![2]));
        assert_eq!(pack(&files, "/none"), None);
        assert_eq!(unpack(b"rubbish"), None);
        assert_eq!(unpack(&archive[..600]), None);
        let mut lie = archive;
        lie[124..135].copy_from_slice(b"77777777777");
        assert_eq!(unpack(&lie), None);
    }
}
