//! Runs what was parsed.

use super::parse::{Node, Part, Redirect, Word, parse};
use super::{Files, Io, Stream, arithmetic, programs};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::BTreeMap;

/// Commands between two sleeps before a script counts as one that never ends.
const BUSY: u32 = 2_000;
/// Bytes that a substitution, pipe or file may hold; the rest is cut off.
const CAPTURE: usize = 64 << 10;
/// Bytes of one variable or word; the rest is cut off.
const WORD: usize = 16 << 10;
/// Variables and files; a script that makes more counts as one that never ends.
const NAMES: usize = 2_000;
/// Scripts started by scripts.
const DEPTH: u32 = 12;

/// Why a run ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It would go on for ever, as servers do; names the program.
    Forever(String),
    /// The time of a dry run or log is up, or the client is gone.
    Over,
}

/// What happens to a program that is not simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is taken for a server: [`Stop::Forever`].
    Serves,
    /// It is taken for done.
    Succeeds,
    /// It is not there: code 127, and a sentence on standard error.
    NotFound,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next(i32),
    Exit(i32),
    Break,
    Continue,
}

/// A shell in a container.
pub struct Shell<'a> {
    /// Environment and variables.
    pub variables: BTreeMap<String, String>,
    /// Mounted files and what was written.
    pub files: Files,
    /// The pod's host name.
    pub hostname: String,
    /// What to do about programs that are not simulated.
    pub unknown: Unknown,
    /// The id of the user who runs it.
    pub user: String,
    /// The group's.
    pub group: String,
    /// Where text and time go.
    pub io: &'a mut dyn Io,
    /// Commands that may still be run; more, and it counts as one that never ends.
    pub patience: u64,
    /// Stop at the first failure (`set -e`).
    errexit: bool,
    code: i32,
    busy: u32,
    depth: u32,
    /// Output caught instead of written, innermost last.
    captured: Vec<String>,
    /// Input of a pipe.
    pub(super) input: Option<String>,
}

impl<'a> Shell<'a> {
    /// A shell that runs nothing yet.
    pub fn new(
        hostname: &str,
        variables: BTreeMap<String, String>,
        files: Files,
        unknown: Unknown,
        io: &'a mut dyn Io,
    ) -> Self {
        Self {
            variables,
            files,
            hostname: hostname.to_owned(),
            unknown,
            user: "0".into(),
            group: "0".into(),
            io,
            patience: u64::MAX,
            errexit: false,
            code: 0,
            busy: 0,
            depth: 0,
            captured: vec![],
            input: None,
        }
    }

    /// Runs a command with its arguments; answers its exit code.
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn command(&mut self, argv: &[String]) -> Result<i32, Stop> {
        match self.program(argv.to_vec()).await? {
            Flow::Next(code) | Flow::Exit(code) => Ok(code),
            Flow::Break | Flow::Continue => Ok(0),
        }
    }

    /// Runs a line of an interactive session; `None` when the session is over, with its code in [`code`](Self::code).
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn line(&mut self, line: &str) -> Result<Option<i32>, Stop> {
        self.busy = 0;
        let Some(node) = parse(line) else {
            self.write(Stream::Err, "sh: syntax error (or more than this simulated shell understands)\n")
                .await?;
            return Ok(Some(2));
        };
        match self.node(&node).await? {
            Flow::Exit(code) => {
                self.code = code;
                Ok(None)
            }
            _ => Ok(Some(self.code)),
        }
    }

    /// Says that the next line is awaited.
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn prompt(&mut self) -> Result<(), Stop> {
        match self.io.prompt() {
            "" => Ok(()),
            prompt => self.io.write(Stream::Out, prompt).await,
        }
    }

    /// The next line of standard input; `None` at its end.
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn read_line(&mut self) -> Result<Option<String>, Stop> {
        self.io.read_line().await
    }

    /// The code of the last command.
    pub fn code(&self) -> i32 {
        self.code
    }

    pub(super) async fn write(&mut self, stream: Stream, text: &str) -> Result<(), Stop> {
        match self.captured.last_mut() {
            Some(caught) if stream == Stream::Out => {
                let room = CAPTURE.saturating_sub(caught.len());
                caught.push_str(&text[..text.floor_char_boundary(room.min(text.len()))]);
                Ok(())
            }
            _ => self.io.write(stream, text).await,
        }
    }

    pub(super) async fn sleep(&mut self, seconds: f64) -> Result<(), Stop> {
        self.busy = 0;
        self.io.sleep(seconds).await
    }

    /// Runs a script given as text, as `sh -c` does.
    pub(super) async fn script(&mut self, text: &str) -> Result<Flow, Stop> {
        match parse(text) {
            Some(node) if self.depth < DEPTH => {
                self.depth += 1;
                let flow = self.node(&node).await;
                self.depth -= 1;
                Ok(Flow::Next(match flow? {
                    Flow::Next(code) | Flow::Exit(code) => code,
                    Flow::Break | Flow::Continue => 0,
                }))
            }
            _ => self.missing("sh").await,
        }
    }

    /// What becomes of a program that is not simulated.
    pub(super) async fn missing(&mut self, name: &str) -> Result<Flow, Stop> {
        let passing = programs::PASSING.contains(&name.rsplit('/').next().unwrap_or(""));
        match self.unknown {
            Unknown::Serves if passing => self.counts_as_done(name).await,
            Unknown::Serves => Err(Stop::Forever(name.to_owned())),
            Unknown::Succeeds => {
                self.write(Stream::Out, &format!("sandbox: {name} is simulated: it counts as done\n"))
                    .await?;
                Ok(Flow::Next(0))
            }
            Unknown::NotFound => {
                let text = format!(
                    "sandbox: {name}: not found. This container is simulated; it has only: {}\n",
                    programs::NAMES.join(" ")
                );
                self.write(Stream::Err, &text).await?;
                Ok(Flow::Next(127))
            }
        }
    }

    async fn counts_as_done(&mut self, name: &str) -> Result<Flow, Stop> {
        self.write(Stream::Out, &format!("sandbox: {name} is simulated: it counts as done\n")).await?;
        Ok(Flow::Next(0))
    }

    fn node<'b>(&'b mut self, node: &'b Node) -> BoxFuture<'b, Result<Flow, Stop>> {
        async move {
            self.busy += 1;
            self.patience = self.patience.saturating_sub(1);
            let names = self.variables.len().max(self.files.len());
            if self.busy > BUSY || self.patience == 0 || names > NAMES {
                return Err(Stop::Forever("sh".into()));
            }
            let flow = match node {
                Node::List(nodes) => self.list(nodes).await?,
                Node::Then(left, success, right) => match self.tested(left).await? {
                    Flow::Next(code) if (code == 0) == *success => self.node(right).await?,
                    flow => flow,
                },
                Node::Not(inner) => match self.tested(inner).await? {
                    Flow::Next(code) => Flow::Next(i32::from(code == 0)),
                    flow => flow,
                },
                Node::Pipe(nodes) => self.pipe(nodes).await?,
                Node::If(condition, then, otherwise) => match (self.tested(condition).await?, otherwise) {
                    (Flow::Next(0), _) => self.node(then).await?,
                    (Flow::Next(_), Some(otherwise)) => self.node(otherwise).await?,
                    (Flow::Next(_), None) => Flow::Next(0),
                    (flow, _) => flow,
                },
                Node::While(condition, goes_on, body) => self.repeat(condition, *goes_on, body).await?,
                Node::For(name, words, body) => self.for_each(name, words, body).await?,
                Node::Simple(assignments, words, redirects) => {
                    self.simple(assignments, words, redirects).await?
                }
            };
            if let Flow::Next(code) = flow {
                self.code = code;
            }
            Ok(flow)
        }
        .boxed()
    }

    /// Runs a condition: its failure is no failure of the script.
    async fn tested(&mut self, node: &Node) -> Result<Flow, Stop> {
        let errexit = std::mem::take(&mut self.errexit);
        let flow = self.node(node).await;
        self.errexit |= errexit;
        flow
    }

    async fn list(&mut self, nodes: &[Node]) -> Result<Flow, Stop> {
        let mut code = 0;
        for node in nodes {
            match self.node(node).await? {
                Flow::Next(next) => code = next,
                flow => return Ok(flow),
            }
            let simple = matches!(node, Node::Simple(..) | Node::Pipe(_));
            if self.errexit && code != 0 && simple {
                return Ok(Flow::Exit(code));
            }
        }
        Ok(Flow::Next(code))
    }

    async fn repeat(&mut self, condition: &Node, goes_on: bool, body: &Node) -> Result<Flow, Stop> {
        loop {
            match self.tested(condition).await? {
                Flow::Next(code) if (code == 0) == goes_on => {}
                Flow::Next(_) => return Ok(Flow::Next(0)),
                flow => return Ok(flow),
            }
            match self.node(body).await? {
                Flow::Break => return Ok(Flow::Next(0)),
                flow @ Flow::Exit(_) => return Ok(flow),
                _ => {}
            }
        }
    }

    async fn for_each(&mut self, name: &str, words: &[Word], body: &Node) -> Result<Flow, Stop> {
        let mut values = vec![];
        for word in words {
            values.extend(self.expand(word).await?);
        }
        for value in values {
            self.variables.insert(name.to_owned(), value);
            match self.node(body).await? {
                Flow::Break => break,
                flow @ Flow::Exit(_) => return Ok(flow),
                _ => {}
            }
        }
        Ok(Flow::Next(self.code))
    }

    async fn pipe(&mut self, nodes: &[Node]) -> Result<Flow, Stop> {
        let mut flow = Flow::Next(0);
        for (at, node) in nodes.iter().enumerate() {
            let last = at + 1 == nodes.len();
            if !last {
                self.captured.push(String::new());
            }
            let result = self.node(node).await;
            if !last {
                self.input = self.captured.pop();
            }
            flow = result?;
        }
        self.input = None;
        Ok(flow)
    }

    async fn simple(
        &mut self,
        assignments: &[(String, Word)],
        words: &[Word],
        redirects: &[Redirect],
    ) -> Result<Flow, Stop> {
        for (name, word) in assignments {
            let value = cut(self.expand(word).await?.join(" "), WORD);
            self.variables.insert(name.clone(), value);
        }
        let mut argv = vec![];
        for word in words {
            argv.extend(self.expand(word).await?);
        }
        if argv.is_empty() {
            return Ok(Flow::Next(0));
        }
        let (mut to_file, mut append) = (None, false);
        for redirect in redirects {
            let target = self.expand(&redirect.to).await?.join(" ");
            match (redirect.from, target.as_str()) {
                (0, path) => self.input = Some(programs::read_text(&self.files, path).unwrap_or_default()),
                (_, target) if target.starts_with('&') => {}
                (1, _) => (to_file, append) = (Some(target), redirect.append),
                // Standard error has nowhere else to go.
                _ => {}
            }
        }
        let Some(path) = to_file else { return self.program(argv).await };
        self.captured.push(String::new());
        let flow = self.program(argv).await;
        let text = self.captured.pop().unwrap_or_default();
        let lost = ["/dev/null", "/dev/std", "/dev/fd/", "/dev/tcp/", "/dev/tty", "/dev/pts/", "/proc/"];
        if lost.iter().any(|prefix| path.starts_with(prefix)) {
            // Nobody reads it there.
        } else if append {
            let file = self.files.entry(path).or_default();
            file.extend_from_slice(text.as_bytes());
            file.truncate(CAPTURE);
        } else {
            self.files.insert(path, text.into_bytes());
        }
        flow
    }

    fn program<'b>(&'b mut self, argv: Vec<String>) -> BoxFuture<'b, Result<Flow, Stop>> {
        async move {
            let Some(name) = argv.first() else { return Ok(Flow::Next(0)) };
            match name.as_str() {
                "exit" => {
                    let code = argv.get(1).and_then(|c| c.parse().ok()).unwrap_or(self.code);
                    Ok(Flow::Exit(code & 0xff))
                }
                "break" => Ok(Flow::Break),
                "continue" => Ok(Flow::Continue),
                "set" => {
                    let flags = argv.iter().skip(1).filter(|a| a.starts_with('-'));
                    self.errexit |= flags.clone().any(|f| f.contains('e') && !f.contains("pipefail"));
                    Ok(Flow::Next(0))
                }
                "export" => {
                    for pair in &argv[1..] {
                        if let Some((name, value)) = pair.split_once('=') {
                            self.variables.insert(name.to_owned(), value.to_owned());
                        }
                    }
                    Ok(Flow::Next(0))
                }
                "exec" | "command" | "time" | "nohup" if argv.len() > 1 => {
                    self.program(argv[1..].to_vec()).await
                }
                _ => programs::run(self, &argv).await,
            }
        }
        .boxed()
    }

    async fn expand(&mut self, word: &Word) -> Result<Vec<String>, Stop> {
        let mut fields = vec![String::new()];
        let mut empty = true;
        for part in &word.0 {
            let (text, split) = match part {
                Part::Text(text) => (text.clone(), false),
                Part::Variable(name, default, quoted) => {
                    let value = self.variable(name);
                    (if value.is_empty() { default.clone() } else { value }, !quoted)
                }
                Part::Arithmetic(expression) => {
                    let value = arithmetic::evaluate(expression, |name| self.variable(name));
                    (value.unwrap_or(0).to_string(), false)
                }
                Part::Command(node, quoted) => {
                    self.captured.push(String::new());
                    let result = self.node(node).await;
                    let caught = self.captured.pop().unwrap_or_default();
                    result?;
                    (caught.trim_end_matches('\n').to_owned(), !quoted)
                }
            };
            empty &= split && text.trim().is_empty();
            if !split {
                fields.last_mut().expect("never empty").push_str(&text);
                continue;
            }
            for (at, piece) in text.split_whitespace().enumerate() {
                if at > 0 || (text.starts_with(char::is_whitespace) && fields != [""]) {
                    fields.push(String::new());
                }
                fields.last_mut().expect("never empty").push_str(piece);
            }
        }
        if fields.len() == 1 {
            fields = fields.into_iter().map(|field| cut(field, WORD)).collect();
        }
        Ok(if empty { vec![] } else { fields })
    }

    fn variable(&self, name: &str) -> String {
        match name {
            "?" => self.code.to_string(),
            "$" => "1".into(),
            "0" => "sh".into(),
            name => self.variables.get(name).cloned().unwrap_or_default(),
        }
    }
}

fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}
