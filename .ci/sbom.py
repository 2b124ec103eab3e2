"""Prints the bill of materials of an installed Rapport, as CycloneDX JSON: all that it needs to run, by version.

Nothing is looked up anywhere: it is what pip noted of the packages that it installed.
"""

import sys
from importlib.metadata import Distribution, distribution

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(name: str, extras: frozenset[str], found: dict[str, Distribution]) -> None:
    """Add what a package needs here, with what that needs, to those that were found."""
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
        )
        key = canonicalize_name(requirement.name)
        if wanted and key not in found:
            found[key] = distribution(requirement.name)
            needed(requirement.name, frozenset(requirement.extras), found)


def component(package: Distribution, kind: ComponentType = ComponentType.LIBRARY) -> Component:
    """A package as the bill names it."""
    name, version = canonicalize_name(package.metadata["Name"]), package.version
    purl = PackageURL("pypi", name=name, version=version)
    stated = package.metadata.get("License-Expression") or ""
    licenses = [LicenseFactory().make_from_string(stated)] if stated else []
    return Component(name=name, version=version, type=kind, purl=purl, bom_ref=str(purl), licenses=licenses)


def main() -> None:
    """Print it."""
    found: dict[str, Distribution] = {}
    needed("rapport", frozenset(), found)
    bom = Bom()
    own = component(distribution("rapport"), ComponentType.APPLICATION)
    bom.metadata.component = own
    parts = [component(package) for _, package in sorted(found.items())]
    bom.components.update(parts)
    bom.register_dependency(own, parts)
    sys.stdout.write(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


main()
