//! The chained CNI plugin: holds a Pod's network until its policy is in the kernel.
