//! The secret that ids depend on.

use stockade_agent::kernel::{Kernel, Options};
use stockade_e2e_agent::bpffs::Bpffs;

use crate::host::sizes;

#[test]
fn the_secret_of_ids_outlives_the_agent_and_goes_with_the_tables() {
    let pins = Bpffs::new();
    let options = Options { sizes: sizes(), ..Options::default() };
    let open = || Kernel::open(&pins.path().join("stockade"), &options).unwrap();
    let first = open().secret().unwrap();
    assert_ne!(first, [0; 32]);
    let again = open();
    assert_eq!(again.secret().unwrap(), first, "as a restarted agent finds it");
    again.remove().unwrap();
    assert_ne!(open().secret().unwrap(), first, "new tables, new ids");
}
