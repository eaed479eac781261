"""YAML: reading it as Kubernetes does, writing it one way, editing what people wrote."""
