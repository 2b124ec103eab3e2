"""Headers by which the operator on the server's own machine is known."""

OPERATOR_HEADER = "X-Rapport-Operator"
TENANT_HEADER = "X-Rapport-Tenant"
