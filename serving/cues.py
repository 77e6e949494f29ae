"""The words that the rules for holders go by: verbs of saying, judging and thinking, and the nouns and pronouns of speakers."""


def _regular(stems: str) -> set[str]:
    """Return the present and past of regular verbs, each given as its base."""
    forms: set[str] = set()
    for base in stems.split():
        if base.endswith("e"):
            forms |= {base, f"{base}s", f"{base}d"}
        elif base.endswith("y") and base[-2] not in "aeou":
            forms |= {base, f"{base[:-1]}ies", f"{base[:-1]}ied"}
        elif base.endswith(("sh", "ch", "ss", "x")):
            forms |= {base, f"{base}es", f"{base}ed"}
        else:
            forms |= {base, f"{base}s", f"{base}ed"}
    return forms


SAYING = _regular(
    "acknowledge add admit affirm allege announce answer argue ask assert assure aver begin boast caution claim comment complain"
    " concede conclude confess confirm contend continue counter cry declare demand disclose emphasise emphasize estimate explain"
    " exclaim fume grumble insist interject joke lament maintain mention mock murmur mutter note object observe plead pledge predict"
    " proclaim promise protest quip reaffirm reason recall recount reiterate relate remark repeat reply report respond retort reveal"
    " scoff shout sigh snap speculate state stress suggest testify thunder tweet underline underscore urge vow warn whisper wonder"
) | set(
    "said say says told tell tells wrote write writes spoke began begins cries cried admitted read reads swore swear swears"
    " quipped snapped forewarned foresaw foresee foresees put puts held holds pleaded".split()
)
"""May stand before or behind what is said."""

JUDGING = _regular(
    "accuse applaud appeal attack attribute back blast blame bemoan call castigate celebrate challenge chide commend condemn"
    " contest contradict credit criticise criticize debunk decry defend demand denounce deny deplore deride describe discredit"
    " dismiss dispute disavow disagree doubt embrace endorse express fault favour favor greet hail honour lambast laud"
    " liken mock oppose praise propose query question ridicule rebuke rebuff rebut recommend refute regret reject reproach"
    " repudiate reprimand resent salute scorn slam slate support term thank trash trumpet voice welcome urge advocate invoke"
    " label brand outline detail document portray signal"
) | set("spoke speak speaks upheld uphold upholds slammed".split())
"""Takes what is judged as its object."""

THINKING = _regular(
    "agree assume believe consider expect fear hope regard reckon suspect view want wish deem fancy anticipate worry dread"
) | set("thought think thinks felt feel feels saw sees knew know knows understood understand understands hoped".split())

FINDING = frozenset("found finds find showed shows show".split())
"""Say something only where a document, or a body that looked into something, is their subject."""

CUES = frozenset(SAYING | JUDGING | THINKING | FINDING)

AMBIGUOUS = frozenset(
    "add answer answers appeal appeals attack attacks back backs blame call calls challenge challenges claim claims comment comments"
    " concern credit cry cries demand demands doubt doubts estimate estimates fancy fault faults fear fears favour favours find finds"
    " greet held hold holds hope hopes hit hits honour knew know label labels brand brands detail details document documents note notes"
    " object objects outline outlines pledge pledges praise promise promises protest protests put puts query question questions read"
    " reads reason reasons rebuke rebuffs regard regards regret regrets remark remarks reply replies report reports reproach request"
    " response saw sees see shout shouts show shows sigh signal signals slate snap snaps state states stress support supports suspect"
    " suspects term terms trust vow vows view views voice voices want wants welcome wish wishes wonder wonders worry worries"
    " continue continues continued began begin begins felt expected drew felt".split()
)
"""Nouns as well, or verbs of much else: they need more around them."""

STATIVE = frozenset(
    "convinced certain sceptical skeptical appalled outraged alarmed concerned adamant shocked disappointed dismayed unconvinced"
    " unimpressed horrified delighted pleased worried confident furious doubtful sure saddened".split()
)
LINKING = frozenset("is are was were remain remains remained am be been".split())
BE = frozenset("is are was were be been being am isn't wasn't aren't weren't got".split())
HAVE = frozenset("has have had having".split())
MODALS = frozenset("would could may might should must will shall can if whether unless".split())
NEGATIONS = frozenset("not never neither nor no didn't doesn't don't hasn't haven't hadn't won't wouldn't cannot hardly".split())
ADVERBS = frozenset(
    "also then later again once long often repeatedly always still now even just further already jointly too yesterday today soon"
    " first finally instead recently earlier once both all rather quickly simply thus therefore however".split()
)
DETERMINERS = frozenset("a an the this that these those his her its their our my your one another".split())
STRIPPED = frozenset("a an the".split())
PREPOSITIONS = frozenset(
    "of for at from in with on by about to into over under against among between before after since during within near around"
    " across behind without toward towards upon through despite like inside outside above via per".split()
)
SUBORDINATORS = frozenset(
    "if whether unless when while because although though since until as than who whom whose which what why how where whoever"
    " whatever once lest".split()
)
EMPTY = frozenset(
    "nobody none nothing noone anybody anyone anything everybody everyone everything somebody someone something some many others"
    " other several few most both all any each either neither one another this that these those there who which what such i we you"
    " it's here that's there's us me reading rumours rumour enough much more less least so".split()
)
"""Stand where a speaker could, and name none."""
NOT_SPEAKERS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october"
    " november december today yesterday tomorrow week month year years days evening morning night time times date".split()
)
LEADING = frozenset(
    "and but yet so or nor still then now later there here meanwhile however moreover today yesterday instead afterwards finally"
    " indeed thus therefore also again earlier even only perhaps".split()
)

HE = frozenset("he him".split())
SHE = frozenset("she her".split())
THEY = frozenset(("they",))
IT = frozenset(("it",))
PRONOUNS = HE | SHE | THEY | IT
MALE = frozenset(
    "mr sir lord king prince father brother husband son uncle grandfather imam monk rabbi bishop spokesman chairman businessman"
    " man boy salesman congressman policeman nephew widower".split()
)
FEMALE = frozenset(
    "mrs ms miss lady queen princess mother sister wife daughter aunt grandmother nun spokeswoman chairwoman businesswoman woman"
    " girl congresswoman policewoman niece widow actress".split()
)
PERSONS = (
    MALE
    | FEMALE
    | frozenset(
        "dr prof professor minister president ambassador envoy diplomat official spokesperson lawyer judge analyst expert witness"
        " resident student activist director chief head chair commissioner secretary deputy lawmaker senator mp journalist critic"
        " delegate researcher historian economist academic survivor detainee author aide source person caller cousin colleague"
        " guide scholar campaigner rapporteur governor colonel general captain chancellor premier representative member adviser"
        " consultant observer farmer baker driver teacher nurse doctor cleric pastor priest editor reader host insider veteran"
        " negotiator attorney prosecutor translator interpreter shopkeeper trader coordinator founder owner manager leader".split()
    )
)
BODIES = frozenset(
    "ministry embassy consulate government office group union council commission association company agency broadcaster newspaper"
    " paper report assessment statement letter study mission delegation tank party court committee organisation organization"
    " university church team firm congress parliament opposition administration coalition alliance network foundation institute"
    " house department bureau board body panel side state country nation capital regime authority bank brand manufacturer retailer"
    " federation society club campaign movement secretariat bloc daily weekly magazine editorial outlet service chamber league"
    " communique resolution review inquiry document text chapter footnote summary annex petition motion survey article column"
    " centre center forum working-group collective tribunal faction caucus assembly lobby police press media watchdog charity".split()
)
PLURALS = frozenset("people police media press staff women men children clergy family crowd both".split())
DOCUMENTS = frozenset(
    "report assessment study review inquiry investigation document paper survey analysis panel commission tribunal court committee"
    " text chapter annex summary dossier article office team probe audit researchers experts".split()
)
