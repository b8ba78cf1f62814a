"""AWS behind the roles: one module a service. Imported only where the settings choose AWS."""
