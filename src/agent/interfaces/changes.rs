//! That interfaces or addresses of the node have changed, told by the kernel.

use std::io;

use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};

/// Groups of messages: links, IPv4 addresses, IPv6 addresses (`RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`,
/// `RTNLGRP_IPV6_IFADDR`).
const GROUPS: [u32; 3] = [1, 5, 9];

/// A subscription.
pub struct Changes {
    socket: TokioSocket,
}

// === impl Changes ===

impl Changes {
    /// Subscribes. What changes from now on is told.
    ///
    /// # Errors
    /// There is no netlink socket to be had.
    pub fn subscribe() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.socket_mut().add_membership(group)?;
        }
        Ok(Self { socket })
    }

    /// Waits for a change. What it was must be asked for: the kernel drops messages where many come at once (`ENOBUFS`),
    /// which is a change too.
    ///
    /// # Errors
    /// The subscription has ended.
    pub async fn next(&mut self) -> io::Result<()> {
        match self.socket.recv_from_full().await {
            Ok(_) => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
