"""Rows of tenants: the models, the sessions that keep to one of them, and PostgreSQL's own guard."""

from ._guard import check_bulk, keep_to_tenant, may_read_directly
from ._models import TenantScoped, tenant_models
from ._policies import POLICY, disable_row_level_security, enable_row_level_security
from ._scope import ForeignTenant, TenantMissing, across_tenants, for_tenant, session_tenant

__all__ = [
    "POLICY",
    "ForeignTenant",
    "TenantMissing",
    "TenantScoped",
    "across_tenants",
    "check_bulk",
    "disable_row_level_security",
    "enable_row_level_security",
    "for_tenant",
    "keep_to_tenant",
    "may_read_directly",
    "session_tenant",
    "tenant_models",
]
