//! ttrpc, as a server and as a client, over connections that never block.
//!
//! The messages and the header are those of the crates `ttrpc` and `containerd-shim-protos`. Their server
//! is not used: it keeps a handful of threads for each connection, and one for each `Wait` that is not
//! answered yet; this shim has one thread altogether.

mod connection;
mod refusal;

pub(crate) use connection::{Connection, Frame};
pub(crate) use refusal::Refusal;

use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::ttrpc::{Code, Request, Response, Status};

/// The answer to a request: the encoded message, or why not.
pub(crate) type Reply = Result<Vec<u8>, Refusal>;

/// A reply as it goes over the wire.
pub(crate) fn encode_reply(reply: Reply) -> Vec<u8> {
    let mut response = Response::new();
    let mut status = Status::new();
    match reply {
        Ok(payload) => {
            status.set_code(Code::OK);
            response.payload = payload;
        }
        Err(refusal) => {
            status.set_code(refusal.code);
            status.set_message(refusal.message);
        }
    }
    response.status = Some(status).into();
    encode(&response)
}

/// A request as it goes over the wire.
pub(crate) fn encode_request(service: &str, method: &str, payload: Vec<u8>) -> Vec<u8> {
    let mut request = Request::new();
    request.service = service.to_owned();
    request.method = method.to_owned();
    request.payload = payload;
    encode(&request)
}

/// The bytes of a message.
pub(crate) fn encode(message: &impl Message) -> Vec<u8> {
    message.write_to_bytes().expect("a message of proto3 has no required fields")
}

/// The message of a request.
///
/// # Errors
/// Bytes that are no such message.
pub(crate) fn decode<M: Message>(bytes: &[u8]) -> Result<M, Refusal> {
    M::parse_from_bytes(bytes)
        .map_err(|error| Refusal::invalid(format!("read the request: {error}")))
}
