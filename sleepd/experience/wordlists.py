"""Ordinary words that the card patterns need to tell people, jobs and pets from everything else. No logic."""

from __future__ import annotations

PEOPLE = frozenset(
    "mother father mom mum dad mommy daddy parent brother sister sibling twin son daughter child kid baby wife husband spouse "
    "partner fiance fiancé "
    "fiancee fiancée girlfriend boyfriend grandmother grandfather grandma grandpa granny grandson granddaughter aunt uncle "
    "cousin nephew niece "
    "stepmother stepfather stepsister stepbrother stepson stepdaughter mother-in-law father-in-law brother-in-law sister-in-law son-in-law "
    "daughter-in-law godmother godfather godson goddaughter friend neighbor neighbour roommate flatmate housemate colleague "
    "coworker co-worker boss "
    "manager teacher mentor student trainer coach doctor dentist therapist landlord landlady assistant professor supervisor "
    "tutor nanny buddy ex".split()
)
PETS = frozenset(
    "pet dog puppy cat kitten horse pony rabbit bunny hamster parrot parakeet budgie canary bird turtle tortoise snake lizard "
    "gecko goldfish fish "
    "ferret guinea-pig pig goat sheep cow donkey chicken hen duck rat mouse hedgehog chinchilla".split()
)
# Besides words that end like a job (see ``values.is_job``).
JOBS = frozenset(
    "nurse pilot chef cook judge mechanic architect surgeon chemist clerk guard coach vet monk nun priest pastor rabbi imam "
    "attendant accountant "
    "assistant consultant sergeant lieutenant captain student intern apprentice secretary detective representative astronaut "
    "athlete model poet "
    "acrobat diplomat physicist medic paramedic butcher barber sailor tailor surveyor ceo cto cfo president boss analyst agent "
    "scientist host waiter "
    "waitress actress author doctor professor sculptor tutor author mayor senator governor jeweler jeweller blacksmith locksmith "
    "goldsmith craftsman "
    "fisherman fireman policeman businessman businesswoman salesman saleswoman spokesman midwife housewife bookkeeper cleaner "
    "executive officer "
    "veterinarian barista cashier curator editor mason miner weaver welder potter plumber carpenter optician aide usher director".split()
)
# Words that end like a job and are none.
NOT_JOBS = frozenset(
    "mother father brother sister daughter stranger foreigner newcomer beginner starter lover fighter believer dreamer member "
    "number loser winner "
    "survivor neighbor neighbour bachelor minor senior junior visitor customer user reader listener learner christian vegetarian "
    "vegan human person "
    "teenager youngster partner parent patient sleeper liar sinner eater drinker smoker non-smoker thinker doer follower "
    "supporter owner holder "
    "procrastinator perfectionist optimist pessimist realist introvert extrovert feminist atheist buddhist communist socialist "
    "capitalist nationalist "
    "traveler traveller wanderer outsider insider other better utter bitter order computer robot monster disaster matter "
    "whatever hater cancer "
    "italian american canadian australian german indian russian european african asian brazilian hungarian norwegian ukrainian "
    "romanian austrian belgian "
    "egyptian iranian mexican cuban chilean peruvian colombian argentinian korean libertarian civilian guardian early-riser "
    "riser commuter sufferer".split()
)
INSTRUMENTS = frozenset(
    "piano guitar violin viola cello bass flute clarinet oboe bassoon saxophone sax trumpet trombone tuba horn harp organ drums "
    "percussion accordion "
    "harmonica banjo mandolin ukulele lute sitar zither bagpipes recorder keyboard fiddle marimba xylophone piccolo lyre".split()
)
NOT_PLAYED = frozenset(
    "game games lottery market markets field fool part role victim song songs music radio long odds piece hero villain".split()
)
NATIONALITY_ENDINGS = ("ish", "ese", "ican", "alian", "nian", "rian", "dian", "sian", "gian", "lian", "vian", "ic", "ist")
NOT_NAMES = frozenset(
    "american german french dutch greek swiss thai czech russian indian chinese korean mexican european african asian catholic "
    "christian muslim jewish "
    "hindu buddhist atheist protestant italian canadian australian brazilian arab danish swedish turkish israeli iraqi pakistani "
    "filipino cuban "
    "republican democrat english british irish scottish welsh spanish portuguese polish finnish norwegian belgian austrian "
    "hungarian ukrainian "
    "monday tuesday wednesday thursday friday saturday sunday january february march april june july august september october "
    "november december "
    "ok okay fine good great well here back home ready sure sorry happy sad tired busy sick late early i i'm i've i'll my we you "
    "he she it they this that these those "
    "the a an yes no not today tomorrow yesterday tonight now then there what who whom whose where when why how which".split()
)
NOT_SUBJECTS = NOT_NAMES | frozenset(
    "everyone everybody someone somebody nobody anyone anybody people men women children kids one none all some many most both "
    "each every another other "
    "his her its our their your mine if unless although because since while after before until but and or so also as at by for "
    "from in into of on to with "
    "mother father mom mum dad grandma grandpa sister brother god life love music nature time money work data ai google siri "
    "alexa chatgpt sage "
    "remember please tell say imagine suppose pretend maybe perhaps actually well oh hi hello hey thanks thank lol wow guess did "
    "do does is are was were "
    "can could would will should may might must let make write read repeat translate answer always never from now just only even "
    "still nothing something".split()
)
# "My X is Y" is no lasting fact for these.
PASSING = frozenset(
    "question questions point idea problem issue answer guess opinion view thought thoughts feeling concern worry fear hope wish "
    "request reason excuse mood day "
    "morning evening night week weekend month head back stomach throat leg arm foot knee eye eyes hand heart brain mind body "
    "turn fault mistake bad time way "
    "life understanding impression advice suggestion response reply message text code prompt input output task job-search "
    "battery train bus flight meeting "
    "appointment call order delivery food coffee tea lunch dinner breakfast sleep homework essay last next first only main "
    "biggest greatest current plan".split()
)
ATTRIBUTES = frozenset(
    "height country nationality language major school university college team club car bike bicycle motorcycle boat laptop "
    "neighborhood zodiac sign star "
    "diet surname nickname religion band degree sport allergy specialty specialism field talent breed".split()
)
COUNTRIES = frozenset(
    "United States|US|USA|United Kingdom|UK|England|Scotland|Wales|Ireland|France|Germany|Spain|Portugal|Italy|Austria|"
    "Switzerland|Netherlands|Belgium|Denmark|"
    "Norway|Sweden|Finland|Iceland|Poland|Czech Republic|Slovakia|Hungary|Romania|Bulgaria|Greece|Turkey|Croatia|Slovenia|Serbia|"
    "Ukraine|Russia|Estonia|"
    "Latvia|Lithuania|Canada|Mexico|Brazil|Argentina|Chile|Peru|Colombia|Cuba|Egypt|Morocco|Kenya|Nigeria|Ghana|Ethiopia|South "
    "Africa|Israel|Iran|Iraq|India|"
    "Pakistan|Bangladesh|Nepal|China|Japan|South Korea|Taiwan|Vietnam|Thailand|Indonesia|Malaysia|Singapore|Philippines|"
    "Australia|New Zealand|Europe|Asia|"
    "Africa|America".split("|")
)
ADJECTIVES = frozenset(
    "a an new old little small big tiny large cute lovely beautiful sweet pretty dear young funny crazy fluffy adorable black "
    "white brown grey gray red "
    "orange golden spotted wonderful great amazing very".split()
)
CONNECTORS = frozenset(
    "of de del della di da du la le les el los las the and & am an der den upon on von van bin al y e i do dos das".split()
)
# A proper name may be followed by these without them being part of it.
AFTER_NAME = frozenset(
    "in on at since last this from with because when while after before for and but as to now recently again where which who "
    "whose that he she it they so "
    "though although by during until till near if too also currently these already i my we since almost about around over every".split()
)
NO_VALUE = frozenset(
    "i my me we you your he she it its they them this that these those there here what which who how why where when not no "
    "nothing none something anything everything "
    "someone good bad great nice fine ok okay wrong right true false important similar different unknown secret private better "
    "worse best worst so very too "
    "boring hard easy clear over fun expensive cheap nice interesting simple complicated difficult stressful tiring new old safe "
    "done finished gone awesome "
    "amazing terrible awful horrible cool ready available open closed busy free full empty broken slow fast early late happy sad "
    "sick tired tall small big really quite always never still just about to if as like because whether been being going gone "
    "having is are was were be do does done".split()
)
