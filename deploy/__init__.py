"""Deployment: the local runner, the sandbox provider, containers, Kubernetes, Prometheus and Grafana."""
