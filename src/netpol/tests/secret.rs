//! Ids and a secret. It is the process's, so these tests have one of their own, and are one.

use stockade_netpol::plan::{TooLate, identity_number, keep_secret};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{ContainerPort, Labels};

#[test]
fn ids_depend_on_the_secret_which_is_one_and_known_before_them() {
    let http = ContainerPort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 };
    let number = || identity_number("shop", &Labels::new([("app", "web")]), std::slice::from_ref(&http));
    keep_secret([7; 32]).unwrap();
    let with_secret = number();
    // That without a secret, by which a tenant could look for two with one number.
    assert_ne!(with_secret, 14_546_735_207_958_114_014);
    keep_secret([7; 32]).unwrap();
    assert_eq!(keep_secret([8; 32]), Err(TooLate));
    assert_eq!(number(), with_secret);
}
