//! The same on kernel 6.1, which has no tcx and no programs behind address translation.

use std::path::Path;

use stockade_e2e_agent::guest;

use crate::STAND_IN;

#[test]
fn truth_tables_hold_sctp_is_spoken_and_agents_may_be_killed_on_kernel_6_1_by_clsact() {
    let program = std::env::current_exe().unwrap();
    let tests = ["every_truth_table_holds_on_routes", "agents_that_are_killed_at_any_moment", "associations_are_made"];
    // One of them is ignored where the kernel may not speak SCTP.
    let arguments = [&tests[..], &["--test-threads=1", "--include-ignored"]].concat();
    let said = guest::run(&program, Path::new(STAND_IN), &arguments).unwrap();
    assert!(said.text.contains("guest: kernel 6.1."), "{}", said.text);
    assert!(said.ok && said.text.contains("test result: ok. 3 passed; 0 failed"), "{}", said.text);
}
