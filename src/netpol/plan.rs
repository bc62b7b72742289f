//! What the kernel of a node holds of policies: tables that a packet is judged by, without pairs and without order.
//!
//! A table is what the policies say about one kind of Pod, in both directions. A packet of such a Pod is judged by up
//! to three sources: what the table says about everyone, about the peer's identity, and about the block of addresses
//! that the peer is in. Each source gives a set of ports; in it the packet's protocol and port lead to a [`Leaf`]. The
//! leaves are combined by taking the least of each of their fields, so no rule is copied to all whom it means in
//! another way, and the result is that of the first rule that matches ([`Leaf::verdict`]).
