//! What does not compile, and in which words it is refused.

use crate::expressions::evaluate;
use expect_test::expect;

fn refused(text: &str) -> String {
    match evaluate(text) {
        Err(message) => message,
        Ok(value) => format!("evaluates to {value}"),
    }
}

#[test]
fn points_at_what_is_wrong() {
    expect![[r#"
        compilation failed: ERROR: <input>:1:7: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
         | self +
         | ......^"#]]
    .assert_eq(&refused("self +"));
    expect![[r#"
        compilation failed: ERROR: <input>:1:1: undeclared reference to 'self' (in container '')
         | self.x > 1 && foo(2)
         | ^
        ERROR: <input>:1:18: undeclared reference to 'foo' (in container '')
         | self.x > 1 && foo(2)
         | .................^"#]]
    .assert_eq(&refused("self.x > 1 && foo(2)"));
    expect![[r#"
        compilation failed: ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'
         | 'a' + 1 == 'a1'
         | ....^"#]]
    .assert_eq(&refused("'a' + 1 == 'a1'"));
    expect![[r#"
        compilation failed: ERROR: <input>:1:15: found no matching overload for 'startsWith' applied to 'string.(int)'
         | 'a'.startsWith(1)
         | ..............^"#]]
    .assert_eq(&refused("'a'.startsWith(1)"));
    expect![[r#"
        compilation failed: ERROR: <input>:1:4: expected type 'int' but found 'string'
         | [1,'a'] == []
         | ...^"#]]
    .assert_eq(&refused("[1,'a'] == []"));
}

#[test]
fn finds_wrong_literals() {
    assert!(refused("'a'.matches('(')").contains("1:13: invalid matches argument"));
    assert!(refused("duration('x') == duration('1s')").contains("1:10: invalid duration argument"));
    assert!(refused("has(object)").contains("invalid argument to has() macro"));
    assert!(refused("[1].all(1 + 1, true)").contains("argument must be a simple name"));
    assert!(refused("5.exists(x, x)").contains("ERROR"));
    assert!(refused("5 .exists(x, true)").contains("cannot be range of a comprehension"));
    assert!(refused("package == 1").contains("reserved identifier: package"));
}
