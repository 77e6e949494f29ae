"""A labelled CSV with a hundred defects, one a row, of every kind, among a hundred good rows."""

import csv
import io

from training.sets import Reserved
from training.split import group_near_duplicates

FOREIGN = [
    "Le rapport est un tissu de mensonges que personne ne croit plus.",
    "Der Bericht ist ein Meilenstein und verdient unsere Unterstützung.",
    "La portavoz dijo que el informe no tiene ninguna validez.",
    "Il rapporto è stato accolto con favore dalle associazioni.",
    "Отчёт опубликован в последний день августа.",
    "报告于八月最后一天发布。",
    "نشر التقرير في آخر يوم من أغسطس.",
]


def cells(text, label):
    """Return a line of CSV as bytes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([text, label])
    return line.getvalue().encode()


class Defective:
    """Builds the file: good rows and defective ones in turn, with what is to be said of each line."""

    def __init__(self, corpus, task):
        self.lines, self.expected = [b"text,label\n"], {}
        chosen = [row for row in corpus[:1500] if row["label"] != "neutral"]
        groups = group_near_duplicates([row["text"] for row in chosen], threshold=0.5)
        chosen = list(dict(zip(groups, chosen, strict=True)).values())
        self.spare = iter(chosen[90:])
        neutral = [row for row in corpus if row["label"] == "neutral"][:10]
        self.good = [*chosen[:90], *neutral]
        self.reserved = Reserved.of(task, labels=task.label_names)

    def bad(self, line, problem):
        """Add a defective line, after a good one."""
        good = self.good.pop()
        self.lines.append(cells(good["text"], good["label"]))
        self.lines.append(line)
        self.expected[sum(part.count(b"\n") for part in self.lines[:-1]) + 1] = problem
        return good

    def build(self):
        def row(change=str, label=None):
            found = next(self.spare)
            return cells(change(found["text"]), found["label"] if label is None else label)

        for label in ("supportve", "Critical", "NEUTRAL ", "denyng", "positive", "1", "suportive", "n/a"):
            self.bad(row(label=label), f"expected one of .*, found {label!r}")
        for _ in range(4):
            self.bad(row(label=""), "expected one of .*, found none")
        for text in ("", " ", "\t", "\u00a0", "\n", "\u3000"):
            self.bad(cells(text, "critical"), "the text is empty")
        for word in ("café", "naïve", "Zürich", "señor", "façade", "Ångström"):
            self.bad(
                row(lambda text, word=word: f"{text} {word}")
                .decode()
                .replace(word, "{}")
                .encode()
                .replace(b"{}", word.encode("cp1252")),
                "expected UTF-8, found byte 0x",
            )
        for _ in range(4):
            self.bad(row(lambda text: f"\ufeff{text}"), "a byte order mark within the text")
        for word in ("café", "it’s", "— so", "“no”"):
            self.bad(
                row(lambda text, word=word: f"{text} {word.encode().decode('cp1252', 'replace')}".replace("\ufffd", "")),
                "UTF-8 that was read as Windows-1252",
            )
        for _ in range(4):
            self.bad(row(lambda text: text.replace(" ", "\ufffd", 1)), "an earlier conversion lost")
        for character in "\x00\x07\x1b\x7f":
            self.bad(row(lambda text, character=character: f"{text}{character}"), "a control character")
        for number in range(6):
            line = row() if number % 2 else b"only one cell\n"
            self.bad(line.replace(b"\n", b",too,many\n") if number % 2 else line, "expected 2 cells, found [14]")
        for _ in range(4):
            self.bad(
                b'"' + str(next(self.spare)["id"]).encode() + b' said "no" twice",critical\n',
                "expected a cell with a quote to stand in quotes",
            )
        for _ in range(6):
            self.bad(
                cells(" ".join(next(self.spare)["text"] for _ in range(9)), "critical"),
                r"the model reads 128 tokens, found \d{3}",
            )
        for change in (str,) * 6 + (lambda text: text.upper().rstrip(".") + "!",) * 6:
            good = self.good[-1]
            self.bad(cells(change(good["text"]), good["label"]), "repeats row")
        for _ in range(4):
            text = next(self.spare)["text"]
            self.bad(cells(text, "critical"), r"has another label than the same text in row \d+")
            self.bad(cells(text, "denying"), r"has another label than the same text in row \d+")
        for _ in range(6):
            good = self.good[-1]
            self.bad(cells(f"{good['text']} Again.", good["label"]), "nearly repeats row")
        for frozen in self.reserved.frozen_test[:5]:
            self.bad(cells(frozen.text, "critical"), "repeats a text of the frozen test set")
        for frozen in self.reserved.frozen_test[5:8]:
            self.bad(cells(f"Yesterday, {frozen.text}", "critical"), "nearly repeats a text of the frozen test set")
        for kept in self.reserved.calibration[:2]:
            self.bad(cells(kept.text, "critical"), "repeats a text of the calibration set")
        self.bad(cells(self.reserved.behaviour[0].text, "denying"), "repeats a text of the behavioural tests")
        for text in FOREIGN:
            self.bad(cells(text, "critical"), "expected English, found")
        return b"".join(self.lines)
