"""Names of columns that say that they hold ids, an index without a name, or time."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS = _words(
    "id ids uid uuid guid oid pk identifier ident identifiant identificador kennung matricule matricula rowid rownum "
    "rownames ssn nin mrn cpf cnpj nif dni iban imei imsi iccid msisdn vin isbn ean gtin asin doi accession"
)
"""Words that say id wherever in a name they stand."""

_NUMBER_WORDS = _words("no nr num nbr number nummer numero")
_LAST_WORDS = _NUMBER_WORDS | _words("key phone telephone barcode passport sha md5")
"""Words that say id at the end of a name of several words."""
_COUNTED = _words(
    "population people children staff total average mean max min atomic wave mach reynolds quantum octane cetane "
    "iodine coordination oxidation copy cell spin house street"
)
"""Words before `number` that make it a count or a measurement, as plurals do: `employees_number`."""

_WHOLE_NAMES = _words(
    "index idx key nr nbr row seq hash sno folio rownumber serial phone telephone phonenumber barcode level_0 "
    "row_names row_index index_col df_index fid gid pid sid cid eid инн снилс огрн aadhaar"
)

_SCRIPTS = (
    *("编号", "編號", "番号", "号码", "订单号", "流水号", "序号", "序號", "学号", "身份证", "单号", "單號"),
    *("номер", "идентификатор", "รหัส", "번호", "아이디"),
)

_ENTITIES = (
    "customer|client|user|member|patient|person|employee|student|account|acct|order|invoice|ticket|item|product|"
    "article|case|subject|sample|record|row|serial|contract|policy|claim|loan|booking|transaction|receipt|document|"
    "doc|file|batch|lot|unit|vehicle|machine|device|sensor|meter|station|store|vendor|supplier|passenger|flight|trip"
)
_NUMBERED = re.compile(
    r"(?:cod|codigo|code|num|numero|no|n)[ _.-]*(?:d[eo][ _])?"
    r"(?:cliente?|pedido|factura|usuario|paciente|empleado|empregado|produc?to|contrato?|cuenta|conta|commande|facture|dossier|adherent|fattura|ordine|utente|paziente)"
)
"""`numero_cliente`, `code client`; a plural would be a count."""

_SUFFIXES = re.compile(
    rf"(?:.{{2,}}(?:nr|nbr|nummer|uuid|guid)|.{{3,}}(?:number|numero)|(?:{_ENTITIES}|roll|reg|ref|emp|cust)(?:no|num|key|ref))\Z"
)

_ENDS_IN_ID = re.compile(
    r"(?:.*(?:aid|acid|lucid|ancid|scid|brid|grid|arid|orid|rrid|trid|lurid|rapid|tepid|vapid|lipid|tupid|sipid|limpid|"
    r"torpid|cupid|repid|rgid|igid|umid|timid|amid|solid|valid|allid|qualid|stolid|eyelid|nnelid|clid|oid|vivid|livid|"
    r"avid|rvid|covid|madrid|luid|druid|quid|guid|morbid|rabid|turbid|forbid|erbid|candid|endid|sordid|tid|orchid|oxid|ulfid|"
    r"skid)|bid|kid|mid|lid|rid|did|hid|amid|ovid)\Z"
)
"""English words (and the Scandinavian word for time) end like this: paid, humid, valid, grid. Such a name says id
only with an entity before it."""

_ENTITY_ID = re.compile(
    rf"(?:.*(?:{_ENTITIES}|agent|parent|tenant|participant|recipient|client|event|comment|parcel|plant|object|project|"
    r"asset|product|request|contact|content|department|shipment|payment|appointment|treatment|experiment|student|"
    r"resident|incident|accident|segment|element|instrument|investment|test|post|list|artist|guest|host|cust|acct))id\Z"
)

_TIME_WORDS = _words(
    "year years yr time steps step date day days month months week weeks hour hours minute minutes second seconds sec "
    "quarter quarters season epoch epochs frame age depth distance cycle cycles iteration timestep elapsed wavelength "
    "frequency jahr tag monat zeit annee ano rok temps tiempo tempo"
)
_UNIT_BEHIND = re.compile(
    r".*(?:[(\[][^)\]]+[)\]]|_(?:s|ms|us|ns|sec|min|h|hr|hrs|nm|um|mm|cm|m|km|hz|khz|mhz|ghz|deg|rad|mv|kv|kg|mg))\s*",
    re.IGNORECASE,
)
"""`Time (s)`, `Depth [m]`, `distance_km`."""
_MEASURES = _words("count counts length len size rate share ratio score total amount sum mean avg average price cost")
"""Last words of what is counted or measured: `id_count`, `uuid_length`."""

INDEX_NAMES = re.compile(r"unnamed: ?\d+(?:\.\d+)*|__index_level_\d+__|level_0", re.IGNORECASE)
"""Names that pandas gives an index that is written as a column."""

_INITIALS = re.compile(r"(?:\w\.){2,}\w?")
"""`N.I.F.`"""
_NO_NAME = re.compile(r"unnamed_\d+_*")
"""Names given here to columns without a name."""


def is_unnamed(column: str) -> bool:
    """Return True if the file gave the column no name (`unnamed_1`; pandas: `Unnamed: 0`, `__index_level_0__`)."""
    return bool(INDEX_NAMES.fullmatch(column) or _NO_NAME.fullmatch(column))


def says_measured(column: str) -> bool:
    """Return True if a name says that the column holds times or measurements, which may count up by one from row to
    row."""
    bare = _plain(column)
    words = words_of(bare)
    is_time = bare.lower() in ("t", "год", "年") or any(word in _TIME_WORDS for word in words)
    return bool(is_time or _UNIT_BEHIND.fullmatch(bare))


def says_id(column: str) -> bool:
    """Return True if a name says that the column holds ids."""
    if "№" in column or any(text in column.lower() for text in _SCRIPTS) or column.strip() in ("#", "N°"):
        return True
    if _INITIALS.fullmatch(column):
        column = column.replace(".", "")
    column = _plain(re.sub("#|[Nn][°º]", " no ", column))
    lower = column.lower()
    words = words_of(column)
    if words and words[-1] in _MEASURES:
        return False
    if lower in _WHOLE_NAMES or _NUMBERED.fullmatch(lower) or any(word in _WORDS for word in words):
        return True
    if len(words) > 1 and words[-1] in _LAST_WORDS:
        before = words[-2]
        is_plural = (
            len(before) > 3
            and before.endswith("s")
            and not before.endswith(("ss", "us", "is", "goods", "series", "sales"))
        )
        return words[0] not in _TIME_WORDS and not (words[-1] in _NUMBER_WORDS and (before in _COUNTED or is_plural))
    if any(re.fullmatch(_ENTITIES, one) and other in _NUMBER_WORDS for one, other in pairwise(words)):
        return True  # LoanNr_ChkDgt
    if len(words) == 2 and words[1] == "code" and re.fullmatch(_ENTITIES, words[0]):
        return True
    return any(_word_says_id(word) for word in words)


def _plain(column: str) -> str:
    """Return the name without accents, and points or blanks around it."""
    bare = unicodedata.normalize("NFD", column.strip(" .:"))
    return "".join(char for char in bare if not unicodedata.combining(char))


def words_of(column: str) -> list[str]:
    """Split a name into words: `customerId` as customer and id."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column)]


def _word_says_id(word: str) -> bool:
    if _SUFFIXES.match(word):
        return True
    if not word.endswith("id") or len(word) < 4:
        return False
    return bool(_ENTITY_ID.match(word) or not _ENDS_IN_ID.match(word))
