"""The ways in which people and programs write dates, as patterns with named groups.

SPELLINGS are tried in their order. In NUMERIC, day and month are both numbers, `a` before `b`; `dates` decides which is
which.
"""

from __future__ import annotations

from typing import Final

_LETTER: Final = r"[^\x00-@\[-`{-\x7f]"
"""A letter of ASCII or any character beyond: a class of all letters makes patterns slow to compile."""
_NAME: Final = rf"(?P<name>{_LETTER}{{2,14}})\.?"
_WEEKDAY: Final = rf"(?:{_LETTER}{{2,14}}\.?,? +)?"
_ZONE: Final = (
    r"(?: ?(?P<zone>(?:(?:UTC|GMT)[+-]\d{1,2}|[+-]\d{2})(?::?\d{2})?|[A-Z]{1,4})"
    r"(?:\[[\w/+-]+\]| \([^()]+\)| [A-Z]{3,4})?)?"
)
BEFORE_NOON: Final = ("上午", "午前", "오전")
AFTER_NOON: Final = ("下午", "午後", "오후")
_CLOCK: Final = (
    r"(?:(?:[T:_-]|,? +(?:at +|um +|à +|- +)?)"
    rf"(?P<noon>(?:{'|'.join((*BEFORE_NOON, *AFTER_NOON))}) ?)?"
    r"(?P<hour>\d{1,2})(?:[:.h-](?P<minute>\d{2})"
    r"(?:[:.-](?P<second>\d{2})(?:[.,:](?P<fraction>\d{1,9}))?)?)(?: ?Uhr)?"
    r"(?: ?(?P<half>[AaPp])\. ?[Mm]\.| ?(?P<half2>[AaPp])[Mm])?"
    rf"{_ZONE})?"
)
_TH: Final = r"(?:st|nd|rd|th|er|º|ª)?"
NUMERIC: Final = {
    ".": rf"^{_WEEKDAY}(?P<a>\d{{1,2}})\. ?(?P<b>\d{{1,2}})\. ?(?P<year>\d{{4}})\.?{_CLOCK}$",
    ". short": rf"^{_WEEKDAY}(?P<a>\d{{2}})\.(?P<b>\d{{2}})\.(?P<year>\d{{2}}){_CLOCK}$",
    "/": rf"^{_WEEKDAY}(?P<a>\d{{1,2}})/(?P<b>\d{{1,2}})/(?P<year>\d{{4}}|\d{{2}}){_CLOCK}$",
    "-": rf"^{_WEEKDAY}(?P<a>\d{{1,2}})-(?P<b>\d{{1,2}})-(?P<year>\d{{4}}){_CLOCK}$",
    "- short": rf"^(?P<a>\d{{2}})-(?P<b>\d{{2}})-(?P<year>\d{{2}}){_CLOCK}$",
    "space": rf"^(?P<a>\d{{1,2}}) (?P<b>\d{{1,2}}) (?P<year>\d{{4}}){_CLOCK}$",
}
SHORT: Final = r"^(?P<a>\d{2})(?P<mark>[-/.])(?P<b>\d{2})[-/.](?P<c>\d{2})(?P<clock>(?: \d{2}:\d{2}(?::\d{2})?)?)$"
"""Three pairs of digits, of which the first may be the year."""
RESPELLED: Final = (
    (r"[\x{a0}\x{202f}]", " "),  # JavaScript writes one before AM
    (r"(\d{4}) ?(?:г|р|r)\.", r"\1"),  # "of the year" in Russian, Ukrainian, Bulgarian and Polish
    (r"^(?:[Nn]gày )?(\d{1,2}) tháng (\d{1,2}),?(?: năm)? (\d{4})", r"\3-\2-\1"),
    (r"(\d:\d{2}(?::\d{2})?) ?(?:SA|πμ|π\.μ\.|ÖÖ|ص)$", r"\1 AM"),
    (r"(\d:\d{2}(?::\d{2})?) ?(?:CH|μμ|μ\.μ\.|ÖS|م)$", r"\1 PM"),
    (r"^(\d[\d/. -]*\d),? \(?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\)?", r"\1"),
    (r"^\[(.+)\]$", r"\1"),
    (r"^(?:\w+\.)?\w+\(['\"](.+)['\"]\)$", r"\1"),  # ISODate("..."), pd.Timestamp('...')
    (r" ?(?:星期|週|周|礼拜)[一二三四五六日天]", ""),
    (r"[(（][月火水木金土日월화수목금토일][)）]|[月火水木金土日]曜日|[월화수목금토일]요일", ""),
    (r"(\d) ?[时時点點시] ?(\d{1,2}) ?[分분](?: ?(\d{1,2}) ?[秒초])", r"\1:\2:\3"),
    (r"(\d) ?[时時点點시] ?(\d{1,2}) ?[分분]", r"\1:\2"),
    (r"^(\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?),? +(.*\d{2}.*)$", r"\2 \1"),
)
"""Spellings that are rewritten before cells are taken apart: the brackets of a log, weekdays and clocks in Chinese,
Japanese and Korean, dates in Vietnamese, halves of the day, a weekday behind the date and a time of day before it."""
COMPACT: Final = (
    r"^(?P<year>19\d\d|20\d\d|9999)(?P<month>0[1-9]|1[0-2])(?:(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)(?P<second>[0-5]\d)?)?)?$"
)
MONTH_POINT: Final = r"^(?P<month>0[1-9]|1[0-2])\.(?P<year>19\d\d|20\d\d)$"
SEASON: Final = r"^(?P<year>\d{4})(?:-|/|年|M|m)(?P<month>\d{1,2})月?$"
"""A month, or a season such as 2010-11."""
SPELLINGS: Final = (
    r"^(?P<year>\d{4})(?:[-/._]|年 ?|년 ?)(?P<month>\d{1,2})(?:[-/._]|月 ?|월 ?)(?P<day>\d{1,2})[日일Z]?\.?"
    rf"{_CLOCK}$",
    rf"^(?P<year>\d{{4}})\. (?P<month>\d{{1,2}})\. (?P<day>\d{{1,2}})\.?{_CLOCK}$",
    r"^(?P<year>\d{4}):(?P<month>\d{2}):(?P<day>\d{2}) (?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})$",
    rf"^(?P<year>\d{{4}})\. ?{_NAME} (?P<day>\d{{1,2}})\.?{_CLOCK}$",
    rf"^{_WEEKDAY}(?P<day>\d{{1,2}}){_TH}(?:\.? ?(?:de |of |d')?|[-/]){_NAME}"
    rf"(?:,? ?(?:de |del |of )?|[-/ ])(?P<year>\d{{4}}|\d{{2}}){_CLOCK}$",
    rf"^{_WEEKDAY}{_NAME} +(?P<day>\d{{1,2}}){_TH},? +(?P<year>\d{{4}}){_CLOCK}$",
    rf"^{_WEEKDAY}{_NAME}[-/](?P<day>\d{{1,2}})[-/](?P<year>\d{{4}}){_CLOCK}$",
    rf"^{_WEEKDAY}{_NAME} +(?P<day>\d{{1,2}}) +(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}}):(?P<second>\d{{2}}) +"
    r"(?P<zone>[A-Z]{3,4} +|[+-]\d{4} +)?(?P<year>\d{4})(?P<zone2> +[+-]\d{4})?$",
    rf"^(?P<year>\d{{4}})[-/ ]{_NAME}[-/ ](?P<day>\d{{1,2}}){_CLOCK}$",
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[ T_](?P<hour>\d{2}):?(?P<minute>\d{2}):?(?P<second>\d{2})?"
    rf"(?:\.(?P<fraction>\d{{1,9}}))?{_ZONE}$",
    COMPACT,
    MONTH_POINT,
    rf"^{_NAME}(?:[-/ ]| de )'?(?P<year>\d{{4}}|\d{{2}})$",
    rf"^(?P<year>\d{{4}})[-/ ]{_NAME}$",
    SEASON,
    r"^(?P<month>\d{2})/(?P<year>\d{4})$",
    r"^(?P<month>0[1-9]|1[0-2])-(?P<year>19\d\d|20\d\d)$",
    r"^(?:FY ?)?(?P<year>\d{4})[- ]?[QqTt](?P<quarter>[1-4])$",
    r"^[QqTt](?P<quarter>[1-4])[-/ ]?(?:FY ?)?(?P<year>\d{4})$",
    r"^[QT](?P<quarter>[1-4]) ?(?:FY ?|')(?P<year>\d{2})$",
    r"^(?P<quarter>[1-4])[QT](?P<year>\d{4}|\d{2})$",
    r"^\\?/Date\((?P<since>-?\d{1,15})(?:[+-]\d{4})?\)\\?/$",  # .NET: milliseconds since 1970
    r"^(?P<year>\d{4})-?[Ww](?P<week>\d{1,2})(?:-?(?P<weekday>[1-7]))?$",
)
ISO: Final = r"^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?$"
ZONES: Final = {  # hours east of Greenwich; letters with two meanings are left out
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "CET": 1,
    "MEZ": 1,
    "CEST": 2,
    "MESZ": 2,
    "BST": 1,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "JST": 9,
    "KST": 9,
    "AEST": 10,
    "AEDT": 11,
    "EST": -5,
    "EDT": -4,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "CST": -6,
    "AKST": -9,
    "HST": -10,
}
