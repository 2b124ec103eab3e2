"""What delivery holds of persons: who has an address of a campaign, under a mark and a pseudonym."""

from rapport.access.personal_data import PersonalData

PERSONAL_DATA = PersonalData("delivery", records={"firing_addresses": ("mark", "holder")})
