"""The Helm chart: where it comes from, what is known of it, its values, and rendering it."""
