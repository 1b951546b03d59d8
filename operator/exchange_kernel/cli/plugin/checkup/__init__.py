"""What `doctor` looks at, in the order in which a person would: each check gives findings, and each finding that is not good says how to mend it."""

from exchange_kernel.cli.plugin.checkup.accounts import accounts, credentials
from exchange_kernel.cli.plugin.checkup.clocks import clocks
from exchange_kernel.cli.plugin.checkup.findings import Check, Finding, Level
from exchange_kernel.cli.plugin.checkup.groups import groups
from exchange_kernel.cli.plugin.checkup.installation import (
    ACCOUNT,
    MEMBER,
    RESOLVE,
    STATUS,
    USE,
    admission,
    cluster,
    kinds,
    operator,
    policy_check,
)
from exchange_kernel.cli.plugin.checkup.markets import markets
from exchange_kernel.cli.plugin.checkup.rights import operators_rights, own_rights

#: By what they are about, in the order in which they are made.
CHECKS: dict[str, Check] = {
    "Cluster": cluster,
    "Kinds": kinds,
    "Admission": admission,
    **{policy.about: policy_check(policy) for policy in (STATUS, MEMBER, ACCOUNT, RESOLVE, USE)},
    "Operator": operator,
    "Operator's rights": operators_rights,
    "Your rights": own_rights,
    "Clock": clocks,
    "Accounts": accounts,
    "Markets": markets,
    "Groups": groups,
    "Credentials": credentials,
}

__all__ = ["CHECKS", "Check", "Finding", "Level"]
