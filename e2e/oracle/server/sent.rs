//! Requests that are sent as a case spells them out.

use serde_json::Value;

use super::Oracle;
use crate::client::Answer;
use crate::oracle::requests::Sent;
use crate::recorder::{CASE_EXTRA, Reviews};

impl Oracle<'_> {
    /// Sends it. The user's extra names the request: a connection or deletion has no field manager.
    pub(super) fn send_sent(&self, sent: &Sent, name: String) -> (Answer, Reviews, String) {
        let mut headers = sent.user.clone();
        headers.push((format!("Impersonate-Extra-{CASE_EXTRA}"), name.clone()));
        let client = self.client.with_headers(headers);
        let answer = client.request(&sent.method, &sent.path, &sent.media, sent.body.as_ref());
        (answer, self.recorder.take(&name), name)
    }

    /// Makes what such requests are about. To be done once, before any policy is in force.
    ///
    /// # Panics
    /// When the server refuses an object.
    pub fn make(&self, objects: &[(String, Value)]) {
        for (path, object) in objects {
            let answer = self.client.post(path, object);
            assert!(answer.ok() || answer.reason() == "AlreadyExists", "{path}: {} {object}", answer.message());
        }
    }
}

/// Name of such a request in an event of the audit log.
pub(super) fn name_in_log(event: &Value) -> Option<&str> {
    event.pointer("/impersonatedUser/extra")?.get(CASE_EXTRA)?.get(0)?.as_str()
}
