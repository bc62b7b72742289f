//! Names from what the agent is told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use stockade_netpol::plan::RuleName;
use stockade_netpol::state::Labels;
use tokio::sync::watch;

use super::{IdentityNames, Names, PodNames};
use crate::agent::View;
use crate::inputs::Inputs;
use crate::inputs::identity::{Identity, pairs};

/// Most identities that are remembered; then all are looked up anew.
const MAX_REMEMBERED: usize = 4_096;

/// Looks names up in what is known at the moment.
#[derive(Debug)]
pub struct KnownNames {
    view: watch::Receiver<View>,
    /// A number is made of what it names, so what was found once stays true.
    remembered: Mutex<HashMap<u64, IdentityNames>>,
}

// === impl KnownNames ===

impl KnownNames {
    /// Of what an agent shows.
    pub fn new(view: watch::Receiver<View>) -> Self {
        Self { view, remembered: Mutex::default() }
    }
}

impl Names for KnownNames {
    fn pod(&self, interface: u32) -> Option<PodNames> {
        let view = self.view.borrow();
        let place = view.places.iter().find(|place| place.interface.index == interface)?;
        let pod = &place.pod;
        let facts = view.inputs.pods.get(&pod.uid);
        let labels = facts.map(|facts| Labels::new(pairs(&facts.labels))).unwrap_or_default();
        let (namespace, name) = (pod.namespace.as_str().into(), pod.name.as_str().into());
        Some(PodNames { namespace, name, uid: pod.uid.as_str().into(), labels })
    }

    fn identity(&self, number: u64, address: IpAddr) -> Option<IdentityNames> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = remembered.get(&number) {
            return Some(names.clone());
        }
        let names = identity(&self.view.borrow().inputs, number, address)?;
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(number, names.clone());
        Some(names)
    }

    fn rule(&self, table: u64, ordinal: u32) -> Option<RuleName> {
        self.view.borrow().desired.as_ref()?.rules.get(&table)?.get(ordinal as usize).cloned()
    }
}

/// Of whoever has an address, those with the number.
fn identity(inputs: &Inputs, number: u64, address: IpAddr) -> Option<IdentityNames> {
    let own = inputs.pods.values().filter(|pod| pod.addresses.contains(&address));
    let own = own.map(|pod| Arc::new(Identity::new(pod.namespace.as_str().into(), &pod.labels, &pod.ports)));
    let others = inputs.slices.values().flat_map(|slice| &slice.identities);
    let others = others.filter(|(_, addresses)| addresses.contains(&address)).map(|(who, _)| Arc::clone(who));
    let found = own.chain(others).find(|who| who.number == number)?;
    Some(IdentityNames { namespace: Arc::clone(&found.namespace), labels: found.labels.clone() })
}

#[cfg(test)]
mod tests {
    use stockade_netpol::plan::identity_number;
    use stockade_node::identity_slice::{Identity, IdentitySliceSpec};

    use super::*;
    use crate::desired::Desired;
    use crate::hold::{HostInterface, PodName, PodRequest};
    use crate::inputs::{PodFacts, SliceFacts};
    use crate::places::Places;

    fn db() -> Identity {
        let labels = [("app".to_owned(), "db".to_owned())].into();
        Identity { labels, ports: Vec::new(), addresses: vec!["10.0.0.9".to_owned()] }
    }

    fn view() -> View {
        let mut inputs = Inputs::default();
        let labels = [("app".to_owned(), "web".to_owned())].into();
        inputs.pods.insert("u".to_owned(), PodFacts { labels, ..PodFacts::default() });
        let spec = IdentitySliceSpec { namespace: "shop".to_owned(), identities: vec![db()] };
        inputs.slices.insert("shop.0".to_owned(), SliceFacts::new(1, &spec));
        let mut places = Places::default();
        let pod = PodName { namespace: "shop".to_owned(), name: "web-1".to_owned(), uid: "u".to_owned() };
        let interface = HostInterface { index: 7, name: "veth7".to_owned() };
        places.put(PodRequest { pod, interface, addresses: Vec::new() });
        let rule = |index| RuleName {
            namespace: Some("shop".into()),
            policy: "web".into(),
            direction: stockade_netpol::policy::Direction::Egress,
            index,
            name: None,
        };
        let desired = Desired { rules: [(5, [rule(0), rule(1)].into())].into(), ..Desired::default() };
        View { desired: Some(desired.into()), inputs: inputs.into(), places: places.into(), ..View::default() }
    }

    #[test]
    fn interfaces_numbers_and_rules_are_named_by_what_the_agent_knows() {
        let (tell, told) = watch::channel(view());
        let names = KnownNames::new(told);
        let pod = names.pod(7).unwrap();
        assert_eq!((&*pod.namespace, &*pod.name, &*pod.uid), ("shop", "web-1", "u"));
        assert_eq!((pod.labels, names.pod(8)), (Labels::new([("app", "web")]), None));
        assert_eq!(names.rule(5, 1).map(|rule| rule.index), Some(1));
        assert_eq!((names.rule(5, 2), names.rule(6, 0)), (None, None));

        let number = identity_number("shop", &Labels::new([("app", "db")]), &[]);
        let address = [10, 0, 0, 9].into();
        let db = IdentityNames { namespace: "shop".into(), labels: Labels::new([("app", "db")]) };
        assert_eq!(names.identity(number + 1, address), None);
        assert_eq!(names.identity(number, address), Some(db.clone()));
        // It is remembered when nobody has it any more: the kernel may still tell of it.
        tell.send_replace(View { inputs: Arc::default(), ..view() });
        assert_eq!(names.identity(number, address), Some(db));
    }
}
