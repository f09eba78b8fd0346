"""Texts with labels that are no part of any task: what helps with the tasks' texts should help with these."""

from __future__ import annotations

from rlm.tasks.labels import Source


def _source(what: str, meanings: dict[str, str], **instances: str) -> Source:
    return Source(
        what, meanings, {label: tuple(texts.strip().split("\n")) for label, texts in instances.items()}
    )


OTHERS = (
    _source(
        "a headline, labelled by its topic",
        {
            "sport": "games, athletes, matches",
            "politics": "governments, elections, laws",
            "science": "research and discoveries",
            "business": "companies, markets, jobs",
        },
        sport="""
United come from behind to take the cup in extra time
Veteran goalkeeper hangs up his gloves at 41
Sprinter misses podium by a hundredth of a second
Rain halts second day of the test at Lord's
Teenager stuns top seed in straight sets
Coach sacked after seventh defeat in a row
Marathon course to be moved along the river
Striker out for six weeks with torn hamstring
Skiers wait for snow as season opener nears
Underdogs hold champions to a goalless draw
Rower crosses the finish line first for the fourth time
Two red cards spoil the derby
""",
        politics="""
Minister resigns over leaked letters
Parliament votes to lower the voting age to 16
Coalition talks break down after nine weeks
Mayor faces recall in November ballot
Opposition calls for inquiry into border deal
President vetoes bill on water rights
Senators trade insults in late-night session
New treaty signed by eleven heads of state
Party leader wins narrow vote of confidence
Court strikes down limits on campaign gifts
Ambassador summoned after remarks on island dispute
Turnout falls to lowest since the war
""",
        science="""
Telescope spots faint light from first galaxies
Old bones rewrite story of early humans
Team grows kidney tissue in a dish
Bees found to count up to four
Probe lands on far side of the Moon
Ice core holds record of ancient eruptions
New alloy stays strong at 1,000 degrees
Fossil shows feathers on a small raptor
Gene switch may slow ageing in mice
Whales sing in dialects, recordings reveal
Particle decays in a way theory did not foresee
Deep-sea worms live without sunlight or oxygen
""",
        business="""
Shares tumble as chip maker warns of weak demand
Airline orders forty jets in record deal
Bakery chain to shut a third of its shops
Central bank leaves rates unchanged
Car maker recalls 200,000 vans over faulty brakes
Start-up raises 30 million for meal kits
Oil slips below 60 dollars a barrel
Retailer reports best Christmas in a decade
Union and steel works agree on pay rise
Merger creates the country's largest insurer
Landlord giant sells its office towers
Exporters fret over stronger currency
""",
    ),
    _source(
        "an entry of a diary, labelled by its writer's feeling",
        {
            "joy": "the writer is happy",
            "anger": "the writer is furious",
            "fear": "the writer is afraid",
            "sadness": "the writer grieves",
        },
        joy="""
The letter came today: I got the place at the academy!
We danced until the sun came up.
She said yes, and I could have hugged the whole world.
First swim of the year, the water like silk.
My brother is home from the sea at last.
All four of us around the stove, singing, I want nothing more.
The doctor says that I am well again.
Grandmother clapped her hands when she saw the cake.
I have not laughed so much in years.
The baby smiled at me this morning.
""",
        anger="""
He has read my letters behind my back, the scoundrel.
Three times I asked them to stop, and three times they went on.
How dare she tell that lie in front of everyone!
I slammed the door so hard that the glass broke.
The landlord keeps our deposit, I could scream.
They gave my post to his nephew, of all people.
I have had enough of their excuses.
Once more he blames me for his own mistake.
I tore the contract up before his eyes.
What insolence, to make us wait for four hours!
""",
        fear="""
There are steps in the attic again, and I am alone in the house.
Tomorrow they cut me open, and I cannot stop trembling.
The river has reached the second stair.
I did not dare to look round, he was still behind me.
What if they find out who I am?
My heart beats to my throat when the telephone rings.
The dog growled at the dark window, and so I lit every lamp.
I pray that the fever is not the plague.
The bridge swayed and I could not move a foot.
All night the guns came nearer.
""",
        sadness="""
The house is so quiet since he has gone.
I put her shawl away today and wept.
Nobody came to my birthday.
We buried the old dog under the pear tree.
His chair stands empty at the table.
I walked past our school, and it is a ruin now.
She will not write any more, I know it.
All my friends have left this town, one by one.
I miss the sound of her voice.
The last leaf fell, and with it the last of my hope.
""",
    ),
    _source(
        "a mail, labelled by how soon it needs an answer",
        {"urgent": "need an answer today", "not urgent": "can wait"},
        **{
            "urgent": """
The server room is under water, call me at once.
The client signs at five this afternoon and we still lack your approval.
The court's deadline ends tonight, please file the papers.
A patient has reacted badly to the drug, what shall we give her?
Production is down, no orders go through.
The truck stands at the gate and nobody has the key.
I board in two hours and my visa number is missing.
The press calls every minute, we need a statement now.
Payment must leave before noon or we lose the house.
There is smoke coming from the transformer.
The interview starts in an hour, where is the questionnaire?
Our whole site shows an error since this morning.
""",
            "not urgent": """
Some photos of the summer party are on the shared drive.
I thought you may like this article on bees.
Next spring we might think about new chairs.
Minutes of last month's meeting are attached for your files.
Happy birthday from all of us on the third floor!
Our newsletter has a new look, tell us sometime what you think.
Thanks again for lunch, it was lovely.
The library will add more titles over the year.
For the record, the plants have been watered.
Whenever you are in town, do drop by.
Here is the recipe that you liked at Easter.
A survey on the canteen will follow in the autumn.
""",
        },
    ),
    _source(
        "something that a guest said to a hotel's desk",
        {
            "complaint": "something is wrong",
            "request": "the guest wants something",
            "thanks": "the guest is grateful",
        },
        complaint="""
The people above us were stamping about until three.
There is hair in the shower.
I paid for a view of the sea, and what I see is a wall.
My breakfast was cold again.
The lift has been out for two days.
Nobody has made our beds.
It smells of drains in here.
Your receptionist was rude to my wife.
The heating roars like an aeroplane.
Somebody has parked in the place that I reserved.
""",
        request="""
Could I have another pillow?
Please wake me at six.
I would like to stay one more night.
Is there a table for five this evening?
Can you call us a taxi to the airport?
We need a cot for the baby.
Would you keep my bags until four?
May I have the bill?
Two tickets for the opera, if you can get them.
Could someone bring up some ice?
""",
        thanks="""
You have been so kind to us all week.
What a wonderful stay, we shall be back.
It was very good of you to find my ring.
My mother was touched by the flowers in her room.
Your night porter saved our holiday, tell him so.
I am grateful that you let us check out late.
That was the best dinner we have had in years, compliments to the cook.
How thoughtful of you to remember our anniversary.
We appreciate the trouble that you took.
Bless you, you have found his teddy bear.
""",
    ),
)
