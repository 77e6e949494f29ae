"""Whether a text is in the model's language, English, by its script and its commonest words.

A test that blames only what it is sure of: a text is foreign if most of its letters are of another script, or if at least two of
its words are common ones of one other language and fewer are common English ones. Names, headlines and short texts pass.
"""

import re
import unicodedata

_ENGLISH = """
the of and to in is that it for on with as was by at be this have from or are his her they which an we you not but has
had were been will would there their what all if can more when who no its our about into than them these so may any
only other a i he she after before over also said says do does did how why where because against my your us him out up
new must should could
"""
_WORDS = {
    "French": "le la les des du une est et dans que qui pour pas sur avec ce cette sont aux par ne se il elle nous vous leur été",
    "German": "der das und ist nicht ein eine den dem des mit von für auf sich auch wird werden sind im zu als nach dass über",
    "Spanish": "el la los las de del que y en una es por con para su se no al lo como más pero sus este esta fue",
    "Italian": "il lo la gli di del della dei che e è una per con non sono si nel alla anche questo questa come dal",
    "Portuguese": "o os as de do da dos das que e em um uma é para com não se na no por mais ao como foi pelo",
    "Dutch": "de het een van en is niet dat op te zijn met voor die er aan ook door wordt maar om bij naar",
    "Polish": "i w na z że się nie jest do to od za jak po dla przez oraz który przy są był",
    "Turkish": "ve bir bu için ile da de olarak çok daha olan gibi sonra kadar değil ama her göre",
    "Swedish": "och att det som en på är av för med den inte till ett om har från var sig de",
    "Indonesian": "yang dan di ini itu dengan untuk dari dalam pada tidak akan telah oleh ke juga adalah sebagai",
}
_COMMON_ENGLISH = frozenset(_ENGLISH.split())
_COMMON = {language: frozenset(words.split()) - _COMMON_ENGLISH for language, words in _WORDS.items()}


def foreign(text: str) -> str:
    """Return what the text seems to be written in, as "French" or "Cyrillic letters", or an empty string for English."""
    letters = [letter for letter in text if letter.isalpha()]
    other = [letter for letter in letters if not unicodedata.name(letter, "LATIN").startswith("LATIN")]
    if len(other) * 2 > len(letters):
        return f"{unicodedata.name(other[0]).split()[0].capitalize()} letters"
    words = set(re.findall(r"\w+", text.lower()))
    language = max(_COMMON, key=lambda name: len(words & _COMMON[name]))
    found = len(words & _COMMON[language])
    return language if found >= 2 and found > len(words & _COMMON_ENGLISH) else ""
