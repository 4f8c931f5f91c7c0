//! Expressions that try to take more than they may.

use crate::expressions::evaluate;
use proptest::prelude::*;

#[test]
fn cost_is_bounded() {
    let nested = "lists.range(500).all(a, lists.range(500).all(b, lists.range(500).all(c, a + b + c >= 0)))";
    assert_eq!(evaluate(nested), Err("operation cancelled: actual cost limit exceeded".into()));
    assert!(evaluate("lists.range(9000000000) == []").is_err());
    let mut text = String::from("'0123456789'");
    for _ in 0..24 {
        text = format!("[{text}].map(x, x + x)[0]");
    }
    assert_eq!(
        evaluate(&format!("{text} == ''")),
        Err("operation cancelled: actual cost limit exceeded".into())
    );
    // An error of cost is not absorbed.
    assert!(evaluate(&format!("{nested} || true")).is_err());
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("-(", ")"), ("{1: ", "}"), ("!(", ")"), ("true ? (", ") : true")]
    {
        let text = format!("{}true{}", open.repeat(5_000), close.repeat(5_000));
        assert!(evaluate(&text).unwrap_err().contains("recursion limit"), "{open}");
    }
    let chain = vec!["1"; 20_000].join("+");
    assert!(evaluate(&format!("{chain} > 0")).unwrap_err().contains("recursion limit"));
    let members = format!("object{}", ".a".repeat(20_000));
    assert!(evaluate(&members).unwrap_err().contains("recursion limit"));
    let many = vec!["true"; 9_000].join(" && ");
    assert!(evaluate(&many).is_ok() || evaluate(&many).unwrap_err().contains("recursion limit"));
    let nested = (0..60).fold("true".to_owned(), |inner, n| format!("[1].all(x{n}, {inner})"));
    assert_eq!(evaluate(&nested), Ok(true));
}

#[test]
fn deepest_expressions_run_on_a_small_stack() {
    let run = || {
        let chain = vec!["1"; 240].join("+");
        assert_eq!(evaluate(&format!("{chain} > 0")), Ok(true));
        let nested = (0..70).fold("true".to_owned(), |inner, n| format!("[1].all(x{n}, ({inner}))"));
        assert!(evaluate(&nested).is_ok() || evaluate(&nested).unwrap_err().contains("recursion limit"));
        let parentheses = format!("{}true{}", "(".repeat(95), ")".repeat(95));
        assert_eq!(evaluate(&parentheses), Ok(true));
        let rule =
            object::json!({"type": "object", "x-kubernetes-validations": [{"rule": format!("{chain} > 0")}]});
        assert_eq!(cel_rules::check_rules(&rule, &object::Path::root()), []);
    };
    // The threads of a server have stacks of two megabytes; leave half for who calls.
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,60}") {
        let _ = evaluate(&text);
    }

    #[test]
    fn any_tokens_are_taken_or_refused(tokens in proptest::collection::vec(proptest::sample::select(TOKENS), 0..25)) {
        let _ = evaluate(&tokens.join(" "));
    }
}

const TOKENS: &[&str] = &[
    "object",
    ".name",
    ".list",
    "1",
    "-",
    "+",
    "*",
    "/",
    "%",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "?",
    "&&",
    "||",
    "!",
    "==",
    "<",
    "in",
    "'a'",
    "b'x'",
    "1.5",
    "2u",
    "has(object.name)",
    ".all(x, x)",
    ".map(x, x)",
    ".filter(x, true)",
    "x",
    "null",
    "true",
    ".?",
    "[?",
    "size(",
    "optional.of(",
    ".orValue(",
    "dyn(",
    "type(",
    ".exists(i, v, true)",
    "r'\\d'",
    ".optMap(y, y)",
    ".sortBy(z, z)",
    "Object{",
    ".format([",
    ".transformMap(k, v, v)",
    "`a`",
    "\"\"\"q\"\"\"",
    "\u{e9}",
];

#[test]
fn doubling_ends() {
    let start = std::time::Instant::now();
    let types = (0..70).fold("[1]".to_owned(), |text, n| format!("{text}.map(x{n}, {{x{n}: x{n}}})"));
    assert!(evaluate(&format!("{types}.size() == 1")).is_err());
    let values = (0..60).fold("[1]".to_owned(), |text, n| format!("{text}.map(x{n}, [x{n}, x{n}])"));
    for whole in [format!("'%s'.format([{values}]) == ''"), format!("{values} == {values}")] {
        assert!(evaluate(&whole).is_err(), "{whole}");
    }
    assert!(start.elapsed().as_secs() < 60, "exponential");
}

#[test]
fn what_grows_is_paid_for() {
    let texts = [
        "lists.range(900000).map(x, lists.range(900000))",
        "'a'.replace('', '0123456789').replace('', '0123456789').replace('', '0123456789').replace('', '0123456789').replace('', '0123456789').replace('', '0123456789').replace('', '0123456789').replace('', '0123456789')",
        "lists.range(1000).map(x, lists.range(1000)).flatten().map(x, 'text').join('0123456789')",
        "lists.range(1000).map(x, string(x)).distinct().sort().reverse().map(x, lists.range(1000)).flatten().distinct()",
    ];
    for text in texts {
        let result = evaluate(&format!("size({text}) > 0"));
        assert_eq!(result, Err("operation cancelled: actual cost limit exceeded".into()), "{text}");
    }
}
