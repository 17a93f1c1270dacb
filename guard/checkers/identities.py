"""Words for groups of people. Which of them a sentence is about has nothing to do with whether it is hostile.

The lists are our own, English and not complete. Words for men and women are not among them: they are everywhere, and what is
said of either is learned.
"""

from __future__ import annotations

from functools import cache
from typing import Any

# Adjectives, and nouns for one person.
ONE = (
    """
gay|lesbian|bisexual|pansexual|queer|trans|transgender|transsexual|transgendered|homosexual|heterosexual|straight
asexual|nonbinary|non-binary|genderqueer|genderfluid|intersex|lgbt|lgbtq|lgbtqia|black|white|brown|asian|african
african american|african-american|afro-american|asian american|hispanic|latino|latina|latinx|caucasian|mixed-race
biracial|indigenous|native american|aboriginal|maori|inuit|roma|romani|arab|arabic|middle eastern|middle-eastern
european|american|canadian|mexican|brazilian|colombian|peruvian|chilean|cuban|haitian|jamaican|puerto rican
dominican|guatemalan|honduran|salvadoran|venezuelan|british|english|scottish|welsh|irish|french|german|italian
spanish|portuguese|dutch|belgian|swiss|austrian|swedish|norwegian|danish|finnish|polish|czech|slovak|hungarian
romanian|bulgarian|serbian|croatian|bosnian|albanian|greek|turkish|russian|ukrainian|lithuanian|latvian|estonian
georgian|armenian|kurdish|iranian|persian|iraqi|syrian|lebanese|palestinian|israeli|jordanian|saudi|yemeni|egyptian
moroccan|algerian|tunisian|libyan|sudanese|somali|ethiopian|eritrean|kenyan|ugandan|nigerian|ghanaian|congolese
south african|zimbabwean|indian|pakistani|bangladeshi|afghan|nepali|sri lankan|tamil|punjabi|chinese|taiwanese
japanese|korean|vietnamese|thai|cambodian|filipino|filipina|indonesian|malaysian|australian|turk|pole|jew|spaniard
swede|dane|finn|scot|brit|briton|gypsy|traveller|muslim|islamic|sunni|shia|jewish|christian|catholic|protestant
orthodox|evangelical|mormon|hindu|sikh|buddhist|taoist|atheist|pagan|disabled|handicapped|physically disabled
mentally disabled|mentally ill|deaf|blind|autistic|dyslexic|paralyzed|paralysed|paraplegic|wheelchair user|old|older
elderly|aged|middle aged|middle-aged|young|younger|teenage|immigrant|migrant|refugee|foreign|foreigner|asylum seeker
pensioner|teenager
""".strip()
    .replace("\n", "|")
    .split("|")
)
# Nouns for several.
MANY = (
    """
gays|lesbians|bisexuals|queers|transsexuals|homosexuals|heterosexuals|blacks|whites|asians|africans
african americans|hispanics|latinos|latinas|arabs|europeans|americans|canadians|mexicans|brazilians|colombians
cubans|haitians|jamaicans|puerto ricans|germans|italians|spaniards|swedes|norwegians|danes|finns|poles|czechs
hungarians|romanians|bulgarians|serbs|albanians|greeks|turks|russians|ukrainians|kurds|iranians|persians|iraqis
syrians|palestinians|israelis|saudis|egyptians|moroccans|algerians|somalis|ethiopians|kenyans|nigerians|ghanaians
indians|pakistanis|bangladeshis|afghans|tamils|koreans|filipinos|indonesians|australians|native americans|jews
muslims|christians|catholics|protestants|evangelicals|mormons|hindus|sikhs|buddhists|atheists|pagans|immigrants
migrants|refugees|foreigners|asylum seekers|pensioners|teenagers|autistics|wheelchair users|people with disabilities
people with a disability|people with a mental illness|people in wheelchairs|people of colour|people of color
""".strip()
    .replace("\n", "|")
    .split("|")
)
NEUTRAL = ("norwegian", "norwegians")  # stands for all of them: a group about which little is said


@cache
def _terms() -> Any:
    import re2  # type: ignore[import-untyped]

    many, one = ("|".join(sorted(terms, key=len, reverse=True)) for terms in (MANY, ONE))
    return re2.compile(rf"\b(?:({many})|(?:{one}))\b")


def named(text: str) -> bool:
    """Whether a text in lower case names such a group."""
    return _terms().search(text) is not None


def neutral(text: str) -> str:
    """A text in lower case with one and the same group in place of all others."""
    replaced: str = _terms().sub(lambda match: NEUTRAL[1] if match[1] else NEUTRAL[0], text)
    return replaced
