"""Names of the months, full and short, in the languages that tables are most often exported in.

One line a language, twelve months separated by blanks, variants of one month by `|`. Points are left out and letters
are lower case, as `month_number` brings a name to. A name that means different months in two languages is left out.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

_LANGUAGES: Final = {
    "English": "january|jan february|feb march|mar april|apr may june|jun july|jul august|aug september|sep|sept "
    "october|oct november|nov december|dec",
    "German": "januar|jan|jänner|jän februar|feb|feber märz|mär|mrz|maerz april|apr mai juni|jun juli|jul august|aug "
    "september|sep|sept oktober|okt november|nov dezember|dez",
    "French": "janvier|janv|jan février|févr|fév|fevr mars avril|avr mai juin juillet|juil août|aout|aoû "
    "septembre|sept|sep octobre|oct novembre|nov décembre|déc",
    "Spanish": "enero|ene febrero|feb marzo|mar abril|abr mayo|may junio|jun julio|jul agosto|ago "
    "septiembre|setiembre|sep|sept|set octubre|oct noviembre|nov diciembre|dic",
    "Italian": "gennaio|gen febbraio|feb marzo|mar aprile|apr maggio|mag giugno|giu luglio|lug agosto|ago "
    "settembre|set|sett ottobre|ott novembre|nov dicembre|dic",
    "Portuguese": "janeiro|jan fevereiro|fev março|mar abril|abr maio|mai junho|jun julho|jul agosto|ago "
    "setembro|set outubro|out novembro|nov dezembro|dez",
    "Dutch": "januari|jan februari|feb maart|mrt april|apr mei juni|jun juli|jul augustus|aug september|sep|sept "
    "oktober|okt november|nov december|dec",
    "Danish, Norwegian": "januar|jan februar|feb|febr marts|mars|mar april|apr maj|mai juni|jun juli|jul august|aug "
    "september|sep|sept oktober|okt november|nov december|desember|dec|des",
    "Swedish": "januari|jan februari|feb mars|mar april|apr maj juni|jun juli|jul augusti|aug september|sep|sept "
    "oktober|okt november|nov december|dec",
    "Finnish": "tammikuu|tammikuuta|tammi helmikuu|helmikuuta|helmi maaliskuu|maaliskuuta|maalis "
    "huhtikuu|huhtikuuta|huhti toukokuu|toukokuuta|touko kesäkuu|kesäkuuta|kesä heinäkuu|heinäkuuta|heinä "
    "elokuu|elokuuta|elo syyskuu|syyskuuta|syys lokakuu|lokakuuta|loka marraskuu|marraskuuta|marras "
    "joulukuu|joulukuuta|joulu",
    "Polish": "styczeń|stycznia|sty luty|lutego|lut marzec|marca kwiecień|kwietnia|kwi maj|maja czerwiec|czerwca|cze "
    "lipiec|lipca|lip sierpień|sierpnia|sie wrzesień|września|wrz październik|października|paź listopada|lis "
    "grudzień|grudnia|gru",
    "Czech": "leden|ledna|led únor|února|úno březen|března|bře duben|dubna|dub květen|května|kvě červen|června|čvn "
    "červenec|července|čvc srpen|srpna|srp září|zář říjen|října|říj listopadu prosinec|prosince|pro",
    "Turkish": "ocak|oca şubat|şub mart nisan|nis mayıs haziran|haz temmuz|tem ağustos|ağu "
    "eylül|eyl ekim|eki kasım|kas aralık|ara",
    "Romanian": "ianuarie|ian februarie martie aprilie mai iunie|iun iulie|iul august septembrie octombrie "
    "noiembrie|noi decembrie",
    "Hungarian": "január február március|márc április|ápr május|máj június|jún július|júl augusztus szeptember|szept "
    "október november december",
    "Indonesian": "januari februari maret april mei juni juli agustus|agu september oktober november desember",
    "Russian": "январь|января|янв февраль|февраля|фев|февр март|марта|мар апрель|апреля|апр май|мая июнь|июня|июн "
    "июль|июля|июл август|августа|авг сентябрь|сентября|сен|сент октябрь|октября|окт ноябрь|ноября|ноя|нояб "
    "декабрь|декабря|дек",
    "Ukrainian": "січень|січня|січ лютий|лютого|лют березень|березня|бер квітень|квітня|кві травень|травня|тра "
    "червень|червня|чер липень|липня|лип серпень|серпня|сер вересень|вересня|вер жовтень|жовтня|жов "
    "листопад|листопада|лис грудень|грудня|гру",
    "Greek": "ιανουάριος|ιανουαρίου|ιαν φεβρουάριος|φεβρουαρίου|φεβ μάρτιος|μαρτίου|μαρ απρίλιος|απριλίου|απρ "
    "μάιος|μαΐου|μαϊ ιούνιος|ιουνίου|ιουν ιούλιος|ιουλίου|ιουλ αύγουστος|αυγούστου|αυγ "
    "σεπτέμβριος|σεπτεμβρίου|σεπ οκτώβριος|οκτωβρίου|οκτ νοέμβριος|νοεμβρίου|νοε δεκέμβριος|δεκεμβρίου|δεκ",
    "Hebrew": "ינואר פברואר מרץ|מרס אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר",
    "Hindi": "जनवरी|जन फ़रवरी|फरवरी|फ़र मार्च अप्रैल|अप्रै मई जून जुलाई|जुल अगस्त|अग सितंबर|सितम्बर|सित "
    "अक्टूबर|अक्तूबर|अक्टू नवंबर|नवम्बर|नव दिसंबर|दिसम्बर|दिस",
    "Arabic": "يناير فبراير مارس أبريل|ابريل مايو يونيو يوليو أغسطس|اغسطس سبتمبر أكتوبر|اكتوبر نوفمبر ديسمبر",
}


def month_number(name: str) -> int:
    """1 to 12, or 0 for a word that is not a month."""
    return _numbers().get(_folded(name), 0)


@cache
def _numbers() -> dict[str, int]:
    meanings: dict[str, set[int]] = {}
    for line in _LANGUAGES.values():
        for number, names in enumerate(line.split(), 1):
            for name in names.split("|"):
                meanings.setdefault(_folded(name), set()).add(number)
    return {name: numbers.pop() for name, numbers in meanings.items() if len(numbers) == 1}


def _folded(name: str) -> str:
    """Return the name without case, points and accents: `Févr.` and `fevr` are one name."""
    bare = unicodedata.normalize("NFD", name.strip(" .").casefold())
    return "".join(char for char in bare if not unicodedata.combining(char))
