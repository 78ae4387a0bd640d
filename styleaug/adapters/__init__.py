"""Style transfer for other libraries; import the module of the one you use."""
