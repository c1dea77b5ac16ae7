"""What the kernel here has of networks: namespaces, interfaces and qdiscs, over rtnetlink and as ``tc`` shows them."""
