//! AdmissionReview over TLS.
