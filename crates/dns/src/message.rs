//! Bytes of a question to bytes of its answer.

use crate::resolver::{Outcome, Resolver};
use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

/// The longest answer in one datagram, for clients that take more than [`PLAIN`]: what passes everywhere in one piece.
const DATAGRAM: u16 = 1232;
/// The longest answer in one datagram for clients that say nothing of it.
const PLAIN: u16 = 512;
/// Bytes of a message's header.
const HEADER: usize = 12;

/// Answers one message; `None` for what deserves no answer. Over a stream, answers have any length.
pub(crate) async fn answer(resolver: &Resolver, question: &[u8], stream: bool) -> Option<Vec<u8>> {
    let Ok(request) = Message::from_vec(question) else { return malformed(question) };
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut reply = begin(&request);
    let code = match (&request.metadata.op_code, request.queries.as_slice()) {
        (OpCode::Query, [query]) => match respond(resolver, query, question, stream, &mut reply).await {
            Reply::Built(code) => code,
            Reply::Ready(bytes) => return Some(bytes),
        },
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    reply.metadata.response_code = code;
    let limit = match &request.edns {
        _ if stream => u16::MAX,
        Some(edns) => edns.max_payload().clamp(PLAIN, DATAGRAM),
        None => PLAIN,
    };
    encode(&reply, limit)
}

enum Reply {
    /// Filled in; this is its code.
    Built(ResponseCode),
    /// Another server's.
    Ready(Vec<u8>),
}

async fn respond(
    resolver: &Resolver,
    query: &Query,
    question: &[u8],
    stream: bool,
    reply: &mut Message,
) -> Reply {
    let transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
    if transfer || query.query_class() != DNSClass::IN {
        return Reply::Built(ResponseCode::Refused);
    }
    let own = resolver.is_own(query.name());
    let code = match resolver.resolve(query).await {
        Ok(Outcome::Here { answers, additionals }) => {
            reply.metadata.authoritative = own;
            reply.add_answers(answers);
            reply.add_additionals(additionals);
            ResponseCode::NoError
        }
        Ok(Outcome::NoName) => {
            reply.metadata.authoritative = own;
            ResponseCode::NXDomain
        }
        Ok(Outcome::Elsewhere) => {
            return match resolver.elsewhere(question, stream).await {
                Some(bytes) => Reply::Ready(bytes),
                None => Reply::Built(ResponseCode::ServFail),
            };
        }
        Err(error) => {
            tracing::debug!(%error, "a name could not be looked up");
            return Reply::Built(ResponseCode::ServFail);
        }
    };
    if reply.answers.is_empty()
        && let Some(soa) = resolver.start_of_authority()
    {
        reply.add_authority(soa);
    }
    Reply::Built(code)
}

fn begin(request: &Message) -> Message {
    let mut reply = Message::response(request.metadata.id, request.metadata.op_code);
    reply.metadata = Metadata::response_from_request(&request.metadata);
    reply.metadata.recursion_available = true;
    reply.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM);
        reply.set_edns(edns);
    }
    reply
}

/// What does not fit is left out, and the answer says so.
fn encode(reply: &Message, limit: u16) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PLAIN.into());
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(limit);
    reply.emit(&mut encoder).ok()?;
    Some(bytes)
}

fn malformed(question: &[u8]) -> Option<Vec<u8>> {
    let identifier = question.get(..HEADER).filter(|header| header[2] & 0x80 == 0)?;
    let id = u16::from_be_bytes([identifier[0], identifier[1]]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

/// A question of this server's own to others.
pub(crate) fn question(name: Name, kind: RecordType) -> Option<Vec<u8>> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec().ok()
}

/// The answers in a message.
pub(crate) fn answers(message: &[u8]) -> Vec<Record> {
    Message::from_vec(message).map(|m| m.answers).unwrap_or_default()
}
