"""How the devices of a run on several lab hosts are one network: VXLAN between the lab hosts, made by their agents."""
