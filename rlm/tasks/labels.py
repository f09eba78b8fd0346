"""What `aggregate` and `pairs` ask about: short texts whose label only their meaning gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Texts of one sort, each with exactly one of the labels; no text contains its label's word."""

    what: str
    # what an instance is, after "Each instance is"
    meanings: dict[str, str]
    # label -> what it stands for
    instances: dict[str, tuple[str, ...]]
    # label -> its texts, distinct over all labels


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.strip().split("\n"))


QUESTIONS = Source(
    "a question, labelled by the kind of answer that it asks for",
    {
        "person": "a human being by name",
        "place": "somewhere on the map",
        "quantity": "a count, a measure or the result of a calculation",
        "animal": "a kind of living creature",
    },
    {
        "person": _lines("""
Who painted the ceiling of the Sistine Chapel?
Name the author of War and Peace.
Which physicist came up with the theory of relativity?
Which astronaut took the first step on the Moon?
Which queen ruled Egypt when Caesar came there?
Tell me the discoverer of penicillin.
Which composer went deaf but still wrote a Ninth Symphony?
Who wrote the play Hamlet?
Which nurse became known as the Lady with the Lamp?
By whom was the telephone patented in 1876?
Which navigator led the first voyage around the globe but died on the way?
Who was president of the United States during the Civil War?
Name the Polish-born chemist with two Nobel Prizes.
Which philosopher drank hemlock after his trial in Athens?
Who composed The Magic Flute?
Which writer invented Sherlock Holmes?
Who led India to independence by peaceful protest?
Which general crowned himself emperor of the French in 1804?
Who is the sculptor of The Thinker?
Which woman refused to give up her bus seat in Montgomery?
With whom did Paul Allen found Microsoft?
Which sprinter won four gold medals at the Berlin Olympics?
Which astronomer claimed in 1543 that the Earth moves around the Sun?
Which scientist is said to have watched an apple fall?
Who was the lead singer of the band Queen?
Which mathematician proved Fermat's Last Theorem?
Which woman was the first to fly solo across the Atlantic?
Which naturalist sailed on the Beagle?
Which girl kept a diary while hiding in Amsterdam?
Who became head of South Africa after 27 years in prison?
What is the name of the architect of the Guggenheim Museum in New York?
Which painter cut off part of his own ear?
Who drew the first cartoons of Mickey Mouse?
Which Roman dictator was murdered on the Ides of March?
Who is credited with the printing press in Europe?
What is the name of the Mexican painter famous for her self-portraits?
Who was the captain of the Titanic?
Who taught Alexander the Great as a boy?
Which Venetian merchant told of his years at the court of Kublai Khan?
Name the director of the film Psycho.
Which boxer was born as Cassius Clay?
To which Greek poet is the Iliad ascribed?
"""),
        "place": _lines("""
What is the capital of Australia?
Where was Mozart born?
Which country has the shape of a boot?
In which city would you find the Eiffel Tower?
On which continent does the Sahara lie?
To which island was Napoleon first sent into exile?
Which city hosted the first modern Olympic Games?
Where do canals serve as streets and gondolas as taxis?
What was once called Constantinople?
Which US state is home to the Grand Canyon?
What is the highest mountain on Earth?
Into which sea does the Nile flow?
Where is the Taj Mahal?
Which desert stretches over southern Mongolia and northern China?
Which Roman town was buried by Vesuvius?
Where did the Wright brothers make their first powered flight?
Which country lies between Spain and the Atlantic?
Which tiny state is ruled by the Pope?
Which harbour city has an opera house that looks like sails?
Where was the Declaration of Independence signed?
In what country is sumo the national sport?
What is the northernmost capital in the world?
Which capital lies highest in the Andes?
Where does the Trans-Siberian Railway start in the west?
On which Greek island stood the palace of King Minos?
Where does the United Nations have its headquarters?
In which country were the pyramids of Giza built?
What is the capital of Canada?
Which South American country is long and thin along the Pacific?
Where did the Titanic set out on her only voyage?
Which lake in Siberia is the deepest of all?
In which city did the wall come down in 1989?
Which peninsula do Spain and Portugal share?
Where can you see the Little Mermaid on her rock?
Which US state was bought from Russia?
Near which French village did the Allies land on Omaha Beach?
Under which city do catacombs with the bones of millions lie?
Which country gave the world the tango?
Where does the Tour de France usually end?
In which Scottish loch is a monster said to hide?
In which country is Timbuktu?
What is the largest ocean called?
"""),
        "quantity": _lines("""
How many legs does a spider have?
What is the population of Iceland?
How tall is the Statue of Liberty?
How old must one be to vote in Germany?
What is seven times eight?
How far is the Moon from the Earth?
How many strings does a violin have?
What does a litre of water weigh in kilograms?
At what temperature does water boil at sea level?
How many players does a football team have on the field?
How long is a marathon in kilometres?
What is the square root of 144?
How many bones are there in an adult human body?
What is the speed of light?
How many minutes does a day have?
What percentage of the air is oxygen?
How many keys does a modern piano have?
How deep is the Mariana Trench?
How many squares are on a chessboard?
By what factor is a kilometre longer than a metre?
How many members does the European Union have?
What do the angles of a triangle add up to, in degrees?
How many sides does a hexagon have?
What is the weight of a standard gold bar?
How many sheets make a ream of paper?
What is the usual length of a pregnancy in weeks?
How many teeth does an adult have?
How many litres fit in an oil barrel?
What was the death toll of the Titanic?
What is the height of Mount Kilimanjaro?
How many cards are in a deck without jokers?
What is the freezing point of water in Fahrenheit?
How many symphonies did Beethoven finish?
What is half of ninety?
How many rings are on the Olympic flag?
What is the boiling point of alcohol?
How wide is a football goal?
How many stars are on the flag of the United States?
What do a dozen and a score come to together?
How many time zones does Russia span?
What is the usual speed limit in French towns?
How many chambers does the human heart have?
"""),
        "animal": _lines("""
What lays the largest eggs on land?
Which creature carries its house on its back and leaves a trail of slime?
What is the fastest runner on four legs?
Which bird cannot fly but swims in the icy sea of the south?
What produces honey?
Which beast is called the king of the jungle?
Which mammal has a trunk and very large ears?
What hangs upside down in caves by day and hunts insects by night?
Which sea creature has eight arms and three hearts?
What spins webs to catch flies?
Which striped relative of the horse lives in Africa?
What eats almost nothing but bamboo?
Which insect glows in the dark on summer nights?
What does a tadpole turn into?
Which reptile is famous for changing its colour?
What is the largest creature that has ever lived in the sea?
Which bird brings the babies in tales told to children?
What builds dams across streams with its teeth?
Which pet is known to purr?
What gives us wool?
Which creature with a very long neck browses on the tops of acacias?
Which beast of burden is called the ship of the desert?
Which fish is feared most by surfers?
Which bird of the night can turn its head almost all the way round?
What carries its young in a pouch and leaps on strong hind legs?
What rolls itself into a ball of spines when it is afraid?
Which hunter in packs is the ancestor of the dog?
What sort of creature was Laika, whom the Soviets sent into orbit?
Which bird can learn to repeat what people say?
What sleeps through the winter in a den and is fond of honey?
Which crustacean walks sideways along the beach?
What crows at sunrise?
Which rodent is often kept in a cage with a running wheel?
Which bird came back to Noah with an olive leaf?
What bit Cleopatra, as the story goes?
Which shelled reptile beats the hare in the fable?
What fed Romulus and Remus with its milk?
Which tusked giant of the Ice Age was covered in long hair?
What pulls the sleigh of Santa Claus?
Which farm dweller likes to roll in the mud?
What do you hear croaking at the pond in the evening?
Which bird spreads a fan of feathers with many eyes?
What is chased with hounds by riders in red coats?
"""),
    },
)

REVIEWS = Source(
    "a short review of a product, labelled by what its writer thinks of the product",
    {"positive": "its writer is content", "negative": "its writer is not content"},
    {
        "positive": _lines("""
Best headphones I have ever owned, I wear them all day.
The kettle boils in two minutes and looks lovely on the counter.
My daughter has not put this book down since she got it.
I bought a second one for my mother because I like mine so much.
Worth every cent, the knives are still sharp after a year.
This tent kept us dry through a whole week of rain.
Comfortable from the first step, no blisters at all.
The colours are even nicer than in the pictures.
Setting it up took five minutes and it has run without trouble ever since.
Finally a coffee grinder that is quiet and grinds evenly.
I was sceptical at first, but now I tell all my friends to get one.
The battery lasts three days, far longer than promised.
A joy to write with, the ink flows smoothly.
My back pain is gone since I switched to this chair.
Great sound for such a small speaker.
Fits perfectly and the fabric feels wonderful.
This lamp gives a warm light that makes the room so cosy.
Five stars from me, I would buy it again tomorrow.
The vacuum picks up all the dog hair in one go.
Bread comes out golden and crisp each time, we are delighted.
Sturdy, light and easy to fold, just what I had hoped for.
I sleep like a baby on this mattress.
The kids fight over who may play with it, a real hit.
After ten years of daily use the pan is like new.
It smells fresh and leaves my skin soft.
A clever design, somebody really thought this through.
The backpack holds everything and the straps do not cut in at all.
I cannot imagine my kitchen without it any more.
The screen is bright and crisp, reading on it is a pleasure.
Exactly as described, and it works like a charm.
What a bargain, it beats models at twice the price.
The gloves kept my hands toasty at minus twenty.
I laughed out loud on every page.
The bike rides so smoothly that I take the long way home.
Very happy with this watch, I get compliments all the time.
The drill goes through concrete like butter.
Our cat adores the scratching post and leaves the sofa alone now.
Delicious tea, I have already ordered three more boxes.
The jacket survived two winters and still looks superb.
Simple instructions, solid parts, and it stands rock steady.
The camera takes stunning photos even in the dark.
I gave it as a gift and she was over the moon.
"""),
        "negative": _lines("""
Fell apart after two days, save your money.
The worst headphones I have ever tried, everything sounds like a tin can.
I sent it straight back.
The kettle leaks and takes forever to boil.
My feet were bleeding after an hour in these shoes.
The tent let the rain in on the first night.
A boring book, I gave up after thirty pages.
The colours faded in the first wash.
It took me four hours to put together and it still wobbles.
I wish I had never bought this thing.
The battery is flat before lunch.
The pen scratches and leaves blots on every page.
Sitting on this chair for an hour makes my back ache.
Tinny sound and a constant hiss.
Two sizes too small, and the cloth itches.
The lamp flickers so much that it gives me a headache.
One star is one too many.
The vacuum just pushes the crumbs around.
Everything sticks to this pan, I threw it in the bin.
Cheap plastic that cracked when I picked it up.
I wake up with a stiff neck every morning since we got this mattress.
My son lost interest after a minute, a waste of money.
The handle came off while I was pouring hot soup.
It stinks of chemicals and gave me a rash.
Whoever designed this has clearly never used one.
The zip of the backpack broke on the way home from the shop.
It has been gathering dust because it is such a pain to use.
The screen is so dim that I cannot read a thing outdoors.
Nothing like the picture, I feel cheated.
Overpriced junk, the one from the discount store is far better.
My fingers were frozen in these gloves within minutes.
The jokes are stale and the plot makes no sense.
The brakes squeal and the saddle keeps slipping, I hate riding it.
The watch loses ten minutes a day.
The drill could not even get through soft wood.
Our cat will not go near it, and it toppled over at once.
The tea tastes like dishwater.
The seams of the jacket split in the second week.
The instructions are gibberish and half of the screws do not fit.
All my photos came out blurred, what a letdown.
I was embarrassed to have given this as a present.
"""),
    },
)

MESSAGES = Source(
    "a customer's message to a shop, labelled by what it is about",
    {
        "billing": "money: prices charged, invoices, payments, refunds",
        "shipping": "the parcel on its way: when, where, how or whether it arrives",
        "login": "the customer's account on the web site: signing in, passwords, access",
        "defect": "the product itself does not work or is damaged in use",
    },
    {
        "billing": _lines("""
You charged my card twice for the same order.
The invoice shows a higher total than the one I agreed to.
Where is the money that you promised to pay back three weeks ago?
My discount code was not taken off the price.
Why is there an extra fee of five euros on my statement?
Please send me a receipt with the tax shown separately.
I was asked to pay again although I paid on Monday.
Can I pay in three instalments?
The voucher from my birthday was not counted in the total.
Your reminder says I owe 40 dollars, but I settled that in May.
I need the company's name on the invoice instead of mine.
My bank says that you debited the wrong amount.
Do you accept payment by cheque?
How long does a refund take to reach my credit card?
The sum at the end was in pounds, although I had chosen euros.
I cancelled the subscription in March, and you still take money every month.
Please change the bank details from which you collect the monthly fee.
Why did the price go up after I had clicked on buy?
You refunded only half of what I paid.
Could you send me a copy of last year's invoices for my accountant?
Value added tax was charged although we are exempt.
I was charged for two lamps but ordered one.
My payment was declined, yet the amount has left my bank.
The late fee on my statement is not justified.
I would like to pay by bank transfer instead of by card.
The gift card still has a balance, why can I not spend it at the checkout?
There is a charge from you on my statement that I know nothing of.
The trial was said to be free, and now I see 9.99 on my card.
Can you match the lower price that I saw elsewhere?
I overpaid by ten dollars, please return the difference.
When will the deposit be paid back to me?
The student rate was not applied to my total.
What is the due date of my open invoice?
You took the full price although the item was on sale.
The credit note that you sent has the wrong amount.
I want to dispute the amount that was taken from my card.
Which payment methods do you take?
Our purchase number has to be printed on the invoice.
The currency conversion cost me more than the price on the page.
Please stop the direct debit, I prefer to pay by card.
How much would I save with yearly instead of monthly payment?
My cashback of twenty dollars was never credited.
"""),
        "shipping": _lines("""
My parcel was supposed to arrive on Tuesday and it is still not here.
The tracking page has not changed for six days.
Can the courier leave the box with my neighbour?
The driver rang nobody's bell and took the parcel back to the depot.
I have moved, please send the order to my new address.
Do you send goods to Norway?
How many days will it take until the order reaches me?
The parcel is said to be delivered, but there is nothing at my door.
Could you send the two orders together in one box?
Is it possible to have it dropped at a pick-up point?
My package seems to be stuck at customs.
Which courier will bring my order?
I will be away next week, please hold the parcel back until then.
The tracking number that you gave me is not known to the courier.
Only one of the three boxes has come so far.
Please have it brought on Saturday, I work on the other days.
Has my order left your warehouse yet?
I ordered express and it has now been a week.
The courier took my parcel to the wrong street.
Can you tell me at what time the van will come?
Somebody else's package was handed to me instead of mine.
Will the sofa be carried up to the third floor?
The map shows my parcel going back and forth between two cities.
I typed the wrong house number, can the parcel still be redirected?
Do you bring orders to a post office box?
It says out for delivery since Friday morning.
How can I change the day on which the courier comes?
The card in my letter box says that they will come again, but nobody came.
Can my brother collect the package at the depot for me?
Please tell the driver that the entrance is behind the building.
Your mail said the order was dispatched, yet the courier has never received it.
Will it get here before Christmas if I order today?
The parcel was returned to you because nobody was at home, please send it again.
I would like to be called before the truck arrives.
Has the second half of my order been sent off already?
The package has been lying at the airport for a week.
Is there a faster way to get the order to Canada?
Who signed for my parcel? I was not at home.
May the courier put the box on the terrace?
My order went to the office although I had entered my home address.
The estimated day of arrival keeps moving back.
"""),
        "login": _lines("""
I forgot my password and the reset mail never comes.
The site says that my user name does not exist.
My account is locked after three wrong attempts.
The code for two-factor sign-in never reaches my phone.
Each time I enter my password, the page sends me back to the start.
How can I change the e-mail address with which I sign in?
I lost the phone with my authenticator app and cannot get in any more.
It says wrong password, although I am sure that it is right.
The link for a new password has expired, please send another.
Somebody signed in to my account from a country I have never been to.
Can I use my fingerprint instead of typing the password?
The captcha rejects me, so I never get to my account page.
Why am I signed out every five minutes?
Please unlock my account.
I no longer have the e-mail address that the reset link goes to.
The sign-in button stays grey after I have typed my details.
How do I turn on two-step verification?
I cannot sign in on my new laptop, only on the old one.
My password is rejected because of its special characters.
The answer to my security question is not accepted.
I registered yesterday, but the confirmation link leads nowhere.
Signing in with my Google account gives an error.
My husband and I need separate passwords for our account.
I was told to pick a new password, but the form refuses every one that I try.
Is it possible to recover my user name?
The text message with the access code arrives hours too late.
Your site does not recognise me any more since the last update.
My account was hacked and the password was changed.
How often must I change my password?
I get the message that my session is invalid as soon as I enter.
The app wants me to sign in again whenever I open it.
I have two accounts by mistake and cannot get into the older one.
The backup codes that you gave me are all refused.
My e-mail address is said to be taken already when I try to register.
I am asked whether I am a robot again and again and never get past it.
Where can I see which devices are signed in to my account?
I mistyped my e-mail address when I registered and now cannot confirm it.
The password field does not let me paste from my password manager.
After the reset the site takes neither the old password nor the new one.
Please remove my lost phone from the devices that may open my account.
"""),
        "defect": _lines("""
The screen of the tablet stays black.
My toaster gives off sparks when I switch it on.
The left earphone has gone silent.
The zip of the jacket came off when I wore it for the first time.
The washing machine stops in the middle of every cycle.
A leg of the table has snapped.
The remote control does nothing, even with new batteries.
Water drips out of the bottom of the coffee machine.
The watch stands still as soon as I take it off my wrist.
The keyboard types every letter twice.
The blender smells of burning after a few seconds.
The wheel of the suitcase has jammed and will not turn.
There is a scratch across the lens and every photo has a line in it.
The fridge no longer gets cold.
The phone switches itself off at half charge.
The printer pulls in five sheets at once and then jams.
The drawer of the desk has come off its rails.
The speaker crackles at any volume.
The iron has burned a hole in my shirt, it overheats.
One of the four lights in the lamp never comes on.
The handle of the pan is loose and turns in my hand.
The scale shows another weight every time I step on it.
The touch pad of the laptop does not react.
The fan makes a grinding noise and then stands still.
The clasp of the necklace does not close.
The garden hose has burst at the seam.
The hair dryer blows only cold air.
The umbrella does not open any more.
The motor of the drill runs, but the bit does not turn.
The sole of the left shoe has come off.
The thermometer is ten degrees off.
My new kettle will not switch off by itself when the water boils.
The door of the oven does not shut.
The battery of the scooter swells up when it is charged.
The glass of the picture frame has cracked by itself.
The microphone picks up nothing but hum.
The chair sinks down slowly when I sit on it.
The buttons on the radio get stuck.
The vacuum cleaner has lost all its suction.
The mouse pointer jumps across the screen with this mouse.
The pump of the aquarium leaks oil into the water.
The display of the clock shows only half of each digit.
"""),
    },
)

SOURCES = (QUESTIONS, REVIEWS, MESSAGES)
