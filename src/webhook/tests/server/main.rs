//! The server as its callers see it: endpoints without a port, then real sockets on the loopback.

mod endpoints;
mod support;
