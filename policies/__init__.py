"""The policies of the controllers, one YAML file each, with the scenarios that test them."""
