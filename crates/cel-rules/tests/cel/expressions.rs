//! What expressions evaluate to.

use cel_rules::{Budget, Decl, Environment, PER_CALL_LIMIT, Program, Type, Value};
use object::json;

/// Evaluates to a bool with a few dynamic variables.
pub fn evaluate(text: &str) -> Result<bool, String> {
    let sample = json!({
        "name": "web", "replicas": 3, "ratio": 1.5, "labels": {"a": "1", "b-c": "2"}, "list": [3, 1, 2],
        "names": ["x", "y"], "nothing": null, "port": "http", "nested": [[1, 2], [3]],
    });
    let environment = Environment::new()
        .with("object", Decl::any())
        .with("strings", Decl::list(Decl::scalar(Type::String)));
    let program = Program::compile(text, &environment).map_err(|e| e.to_string())?;
    let any = Decl::any();
    let variables = vec![("object", Value::from_json(&sample, &any).map_err(|e| e.to_string())?)];
    match program.evaluate(&variables, &mut Budget::new(PER_CALL_LIMIT)) {
        Ok(Value::Bool(b)) => Ok(b),
        Ok(other) => Err(format!("not a bool: {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn these_hold() {
    let wrong: Vec<_> = TRUE
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| match evaluate(line) {
            Ok(true) => None,
            other => Some(format!("{line}\n   -> {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const TRUE: &str = r#"
1 + 2 * 3 == 7 && -5 / 2 == -2 && -5 % 3 == -2 && 7u % 4u == 3u
1 < 1.5 && 2u > 1 && 1 == dyn(1.0) && dyn(3.0) in [1, 2, 3]
9223372036854775807 > 9223372036854775806 && -9223372036854775808 < 0 && 0x1F == 31
'a' + 'b' == "ab" && r'\n'.size() == 2 && '\u00e9'.size() == 1 && b'\xff'.size() == 1 && '''a'b'''.size() == 3
true ? 1 == 1 : 1 == 2
(false || true) && !(true && false)
object.nope == 1 || true
true || object.nope == 1
!(object.nope == 1 && false)
[1, 2].exists(x, x / 0 == 1 || x == 2)
has(object.name) && !has(object.nope) && has(object.labels.a) && has({'a': 1}.a)
'a' in object.labels && !('z' in object.labels) && object.labels['b-c'] == '2'
object.list.all(x, x > 0) && object.list.exists(x, x == 2) && object.list.exists_one(x, x > 2)
object.list.map(x, x * 2) == [6, 2, 4] && object.list.filter(x, x > 1) == [3, 2]
object.list.map(x, x > 1, x + 1) == [4, 3]
object.labels.all(k, k.size() > 0) && object.labels.map(k, k).size() == 2
[1, 2, 3].all(i, v, v == i + 1) && {'a': 1}.exists(k, v, k == 'a' && v == 1)
[1, 2, 3].transformList(i, v, i > 0, v * i) == [2, 6]
{'a': 1, 'b': 2}.transformMap(k, v, v > 1, v + 1) == {'b': 3}
{'a': 'x'}.transformMapEntry(k, v, {v: k}) == {'x': 'a'}
[1, 2].existsOne(i, v, v == 2)
object.?nope.orValue('d') == 'd' && object.?name.orValue('d') == 'web' && !object.?nope.hasValue()
object.?labels.?a.value() == '1' && object.?x.?y.orValue(1) == 1
{'a': 1}[?'b'].orValue(3) == 3 && [1][?3].orValue(4) == 4 && [1, 2][?1].value() == 2
optional.of(1).or(optional.of(2)).value() == 1 && optional.none().orValue(5) == 5
optional.of(3).optMap(x, x + 1).value() == 4 && !optional.ofNonZeroValue('').hasValue()
optional.of(3).optFlatMap(x, x > 2 ? optional.of('big') : optional.none()).value() == 'big'
[?optional.of(1), ?optional.none(), 2] == [1, 2] && {?'a': optional.none()}.size() == 0
'hello'.contains('ell') && 'hello'.startsWith('he') && 'hello'.endsWith('lo') && 'abc'.matches('^[a-c]+$')
'tacocat'.charAt(3) == 'o' && 'tacocat'.indexOf('a') == 1 && 'tacocat'.lastIndexOf('a') == 5
'tacocat'.indexOf('a', 3) == 5 && 'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']
['a', 'b'].join('-') == 'a-b' && 'hello'.replace('l', 'L', 1) == 'heLlo' && 'tacocat'.substring(4) == 'cat'
'tacocat'.substring(0, 4) == 'taco' && ' x '.trim() == 'x' && 'ABC'.lowerAscii() == 'abc' && 'é'.upperAscii() == 'é'
'%s is %d and %.2f'.format([dyn('x'), 3, 1.5]) == 'x is 3 and 1.50' && '%x'.format([255]) == 'ff'
'%s'.format([[dyn(1), 'a', {'k': true}]]) == '[1, "a", {"k":true}]'
'%d %s %f'.format([1, 'abc', 1.5]) == '1 abc 1.500000' && b'\u0041' == b'A'
'%e'.format([3.14]) == '3.140000×10⁰⁰' && !optional.ofNonZeroValue(timestamp('0001-01-01T00:00:00Z')).hasValue()
url('https:://kubernetes.io/').getHostname() == '' && 'ab'.replace('', 'x') == 'xaxbx'
strings.quote('a"b') == '"a\\"b"'
'abc 123'.find('[0-9]+') == '123' && '123 abc 456'.findAll('[0-9]+') == ['123', '456']
'123 abc 456'.findAll('[0-9]+', 1) == ['123'] && 'x'.find('y') == ''
[1, 2, 2].isSorted() && ![2, 1].isSorted() && [1, 2].sum() == 3 && [1, 3, 2].max() == 3 && ['b', 'a'].min() == 'a'
[1, 2, 3].indexOf(2) == 1 && [1, 2, 1].lastIndexOf(1) == 2 && ([] == []) && [1, 1, 2].distinct() == [1, 2]
[1, 2, 3].slice(1, 3) == [2, 3] && [[1], [2, 3]].flatten() == [1, 2, 3] && [3, 1, 2].sort() == [1, 2, 3]
[1, 2].reverse() == [2, 1] && lists.range(3) == [0, 1, 2] && [1, 2].first().value() == 1 && [1, 2].last().value() == 2
['aaa', 'b', 'cc'].sortBy(s, s.size()) == ['b', 'cc', 'aaa']
sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 1, 2], [2, 1]) && sets.intersects([1], [1, 2])
int('42') == 42 && double('1.5') == 1.5 && string(42) == '42' && string(1.0) == '1' && bool('true') && uint(3) == 3u
type(1) == int && type('') == string && type([]) == list && type({}) == map && type(null) == null_type
type(object.port) == string && type(object.replicas) == int && object.nothing == null
duration('1h') > duration('30m') && duration('90s').getMinutes() == 1 && string(duration('1h')) == '3600s'
timestamp('2024-01-02T03:04:05Z').getFullYear() == 2024 && timestamp('2024-01-02T03:04:05Z').getMonth() == 0
timestamp('2024-01-02T23:04:05Z').getHours('+02:00') == 1 && timestamp('2024-01-02T00:00:00Z').getDayOfWeek() == 2
timestamp('2024-01-02T00:00:00Z') + duration('24h') == timestamp('2024-01-03T00:00:00Z')
url('https://example.com:80/a?k=v&k=w').getHost() == 'example.com:80' && url('/x').getScheme() == ''
url('https://example.com:80/a?k=v&k=w').getQuery()['k'] == ['v', 'w'] && !isURL('not a url') && isURL('https://[::1]:80/')
url('https://[::1]:80/').getHostname() == '::1' && url('https://a.b/x y').getEscapedPath() == '/x%20y'
quantity('1Gi').isGreaterThan(quantity('1000M')) && quantity('1k').asInteger() == 1000 && isQuantity('1.5M') && !isQuantity('x')
quantity('50k').add(20).asInteger() == 50020 && quantity('1').sub(quantity('2')).sign() == -1 && quantity('1k').compareTo(quantity('1000')) == 0
ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && isIP('1.2.3.4') && !isIP('1.2.3') && ip.isCanonical('::1')
cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && isCIDR('10.0.0.0/8')
cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8') && cidr('10.0.0.0/8').prefixLength() == 8 && string(cidr('10.0.0.0/8').ip()) == '10.0.0.0'
!format.dns1123Label().validate('abc').hasValue() && format.dns1123Label().validate('A_b').hasValue()
format.named('uuid').value().validate('nope').value() == ['does not match the UUID format']
semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).major() == 1 && !isSemver('1.2') && semver('1.2.3').patch() == 3
{'a': 1}.a == 1 && {1: 'x'}[1] == 'x' && {'a': 1} == {'a': dyn(1.0)}
object.nested.all(l, l.all(x, x > 0)) && object.nested.map(l, l.map(x, x + 1)) == [[2, 3], [4]]
[dyn(1), 'a', true].exists(x, type(x) == bool)
object.labels == {'a': '1', 'b-c': '2'} && object.list == [3, 1, 2]
[1, 2, 3].exists(x, x == 2) // a comment
"#;

#[test]
fn these_go_wrong() {
    let cases = [
        ("object.nope == 1", "no such key: nope"),
        ("[1][3] == 1", "index out of bounds: 3"),
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "modulus by zero"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("int(object.name) > 0", "type conversion error from 'string' to 'int'"),
        ("object.name > 1", "no such overload"),
        ("object.name", "not a bool: String(Borrowed(\"web\"))"),
        ("optional.none().value() == 1", "optional.none() dereference"),
        ("'abc'.substring(7) == ''", "index out of range: 7"),
        ("[2, 1].max() == dyn([]).max()", "max called on empty list"),
    ];
    for (text, message) in cases {
        assert_eq!(evaluate(text), Err(message.to_owned()), "{text}");
    }
}
