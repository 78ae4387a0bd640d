"""Style transfer in the manners of each host library; import the module of the host you use."""
