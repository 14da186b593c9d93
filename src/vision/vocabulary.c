/* The table of words. The grouping is ours; class numbers are those of ImageNet's 1,000 classes in their usual order. */
#include "vision/vocabulary.h"

#include <stdlib.h>

#include "base/banned.h"

const VocabularyWord VOCABULARY_OBJECTS[] = {
    /* animals */
    {"animal", "0-50,52-68,70-397"}, {"fish", "0-1,389-397"}, {"shark", "2-4"}, {"ray", "5-6"}, {"bird", "7-24,80-100,127-146"}, {"chicken", "7-8"},
    {"ostrich", "9"}, {"songbird", "10-20"}, {"bird of prey", "21-23"}, {"owl", "24"}, {"grouse", "80-83,85-86"}, {"peacock", "84"}, {"parrot", "87-90"},
    {"hummingbird", "94"}, {"toucan", "93,96"}, {"duck", "97-98"}, {"goose", "99"}, {"swan", "100"}, {"stork", "127-128"}, {"heron", "129,131-133"},
    {"flamingo", "130"}, {"pelican", "144"}, {"penguin", "145"}, {"salamander", "25-29"}, {"frog", "30-32"}, {"turtle", "33-37"}, {"lizard", "38-48"},
    {"crocodile", "49-50"}, {"dinosaur", "51"}, {"snake", "52-68"}, {"scorpion", "71"}, {"spider", "72-77"}, {"insect", "300-326"}, {"beetle", "300-307"},
    {"fly", "308"}, {"bee", "309"}, {"ant", "310"}, {"grasshopper", "311-312"}, {"dragonfly", "319-320"}, {"butterfly", "321-326"},
    {"elephant", "101,385-386"}, {"kangaroo", "104"}, {"koala", "105"}, {"jellyfish", "107"}, {"sea anemone", "108"}, {"coral", "109"}, {"worm", "110-111"},
    {"shell", "112,117"}, {"snail", "113"}, {"slug", "114-115"}, {"crab", "118-121,125"}, {"lobster", "122-124"}, {"whale", "147-148"}, {"sea lion", "150"},
    {"starfish", "327"}, {"sea urchin", "328"}, {"dog", "151-268"}, {"wolf", "269-271"}, {"wild dog", "272-276"}, {"fox", "277-280"}, {"cat", "281-285"},
    {"big cat", "286-293"}, {"lion", "291"}, {"tiger", "292"}, {"bear", "294-297"}, {"rabbit", "330-332"}, {"rodent", "333-338"}, {"squirrel", "335"},
    {"horse", "339"}, {"zebra", "340"}, {"pig", "341-343"}, {"hippopotamus", "344"}, {"cattle", "345-347"}, {"sheep", "348-349"}, {"goat", "350"},
    {"antelope", "351-353"}, {"camel", "354"}, {"llama", "355"}, {"weasel", "356-359"}, {"otter", "360"}, {"ape", "365-369"}, {"monkey", "370-382"},
    {"lemur", "383-384"}, {"panda", "388"},
    /* vehicles */
    {"vehicle", "403-405,407-408,436,444,450,466,468,472,484,510-511,547,554-555,561,565,569,573,575-576,586,595,603,609,612,625,627-628,654,656,661,665,"
                "670-671,675,690,705,717,734,751,757,779-780,802-803,812,814,817,820,829,833,847,856,864,866-867,870-871,874,880,895,914"},
    {"car", "436,468,511,609,627,656,661,734,751,817"}, {"sports car", "511,751,817"}, {"taxi", "468"}, {"truck", "555,569,675,717,864,867"}, {"ambulance", "407"},
    {"fire engine", "555"}, {"bus", "654,779,874"}, {"train", "466,547,565,705,820"}, {"tram", "829,874"}, {"motorcycle", "665,670"}, {"bicycle", "444,671"},
    {"airplane", "404,895,908"}, {"airship", "405"}, {"balloon", "417"}, {"boat", "472,484,554,576,625,814,871,914"}, {"ship", "403,510,628,724,780"},
    {"sailing boat", "484,780,871,914"}, {"submarine", "833"}, {"canoe", "472"}, {"tank", "847"}, {"tractor", "595,856,866"}, {"forklift", "561"},
    {"cart", "428,603,612,690"}, {"golf cart", "575"}, {"snowmobile", "802"}, {"sled", "450,537"}, {"spacecraft", "812"}, {"rocket", "657,744"},
    {"wheel", "479"},
    /* in the home */
    {"furniture", "423,431,453,493,495,516,520,526,532,559,564,703,765,831,857,894"}, {"bed", "520,564"}, {"chair", "423,559,765,857"}, {"sofa", "831"},
    {"table", "532"}, {"desk", "526"}, {"bookcase", "453"}, {"cabinet", "493,495,648,894"}, {"bench", "703"}, {"cradle", "431,516"}, {"lamp", "619,846"},
    {"curtain", "794,854,905"}, {"pillow", "721"}, {"blanket", "750"}, {"rug", "539,741"}, {"bathtub", "435,876"}, {"toilet", "861"}, {"sink", "896"},
    {"vase", "883"}, {"candle", "470"}, {"clock", "409,530,892"}, {"watch", "531"}, {"refrigerator", "760"}, {"stove", "827"}, {"microwave oven", "651"},
    {"washing machine", "897"}, {"fan", "545"}, {"cup", "504,968"}, {"glass", "441,572"}, {"bottle", "440,737,898,907"}, {"teapot", "505,849"},
    {"jug", "725,899,901"}, {"pot", "469,521,544"}, {"pan", "567,909"}, {"bowl", "659,809"}, {"plate", "923"}, {"spoon", "618,910"}, {"knife", "499"},
    {"basket", "588,790"}, {"bucket", "463"}, {"broom", "462"}, {"vacuum cleaner", "882"}, {"iron", "606"}, {"sewing machine", "786"}, {"towel", "434"},
    {"umbrella", "879"},
    /* devices and tools */
    {"computer", "527,590,620,664,681,782"}, {"laptop", "620,681"}, {"keyboard", "508,810,878"}, {"computer mouse", "673"}, {"screen", "664,782,851"},
    {"telephone", "487,528,707"}, {"camera", "732,759"}, {"printer", "713,742"}, {"radio", "754"}, {"loudspeaker", "632"}, {"microphone", "650"},
    {"remote control", "761"}, {"music player", "481-482,485,605,848"}, {"projector", "745"}, {"telescope", "755"}, {"binoculars", "447"}, {"tripod", "872"},
    {"tool", "477,491,587,596,740,784,792"}, {"hammer", "587"}, {"screwdriver", "784"}, {"saw", "491"}, {"shovel", "792"}, {"axe", "596"}, {"drill", "740"},
    {"lawn mower", "621"}, {"pen", "418,563,749"}, {"ruler", "769,798"}, {"lock", "507,695"}, {"scale", "778"}, {"syringe", "845"}, {"stethoscope", "823"},
    {"crane", "517"},
    /* music, sport, play, weapons */
    {"musical instrument", "401-402,420,432,486,494,513,541,546,558,566,577,579,593-594,641-642,683-684,687,699,776,822,875,881,889"},
    {"guitar", "402,420,546"}, {"piano", "579,881"}, {"violin", "486,889"}, {"drum", "541,822"}, {"flute", "558,683,699"}, {"trumpet", "513,566,875"},
    {"saxophone", "776"}, {"accordion", "401"}, {"harp", "594"}, {"ball", "429-430,522,574,722,768,805,852,890"}, {"racket", "752"}, {"ski", "795"},
    {"dumbbell", "422,543"}, {"pool table", "736"}, {"parachute", "701"}, {"teddy bear", "850"}, {"puzzle", "611,918"}, {"gun", "413,763-764"},
    {"cannon", "471"}, {"shield", "787"},
    /* what people wear and carry */
    {"clothing", "399-400,411,445,459,474,501,568,578,601,608,610,614,617,638-639,652,655,689,697,735,775,834,841-842,869,887"},
    {"dress", "578,601,614,689,775"}, {"shirt", "610,841"}, {"coat", "568,617,869"}, {"suit", "834"}, {"swimsuit", "445,638-639,842"}, {"jeans", "608"},
    {"tie", "451,457,906"}, {"hat", "433,439,452,515,667,793,808"}, {"helmet", "518,560,715"}, {"shoe", "502,514,630,770,774"}, {"sock", "496,806"},
    {"glove", "658"}, {"glasses", "836-837"}, {"mask", "570,643,691,796"}, {"bag", "414,636,728,748"}, {"necklace", "679"}, {"cosmetics", "551,585,629,631,711,838"},
    {"armor", "461,490,524"}, {"ball player", "981"}, {"bridegroom", "982"}, {"diver", "983"},
    /* food and plants */
    {"food", "924-935,959-965"}, {"fruit", "948-957"}, {"apple", "948"}, {"orange", "950"}, {"lemon", "951"}, {"banana", "954"}, {"strawberry", "949"},
    {"pineapple", "953"}, {"vegetable", "936-946"}, {"cabbage", "936"}, {"broccoli", "937"}, {"squash", "939-942"}, {"cucumber", "943"}, {"bell pepper", "945"},
    {"mushroom", "947,991-997"}, {"bread", "930-932"}, {"hamburger", "933"}, {"hot dog", "934"}, {"pizza", "963"}, {"pasta", "959"}, {"soup", "925-926"},
    {"ice cream", "928-929"}, {"coffee", "967"}, {"wine", "907,966"}, {"corn", "987,998"}, {"flower", "985-986"}, {"hay", "958"},
    /* outside */
    {"building", "425,442,449,483,497,580,663,668,698,762,832,915"}, {"church", "442,497,663"}, {"mosque", "668"}, {"castle", "483"}, {"palace", "698"},
    {"barn", "425"}, {"tower", "437,682,900"}, {"bridge", "821,839,888"}, {"dam", "525"}, {"fence", "489,716,912"}, {"stone wall", "825"}, {"roof", "853,858"},
    {"tent", "672,915"}, {"fountain", "562"}, {"traffic light", "920"}, {"street sign", "919"}, {"parking meter", "704"}, {"mailbox", "637"}, {"gas pump", "571"},
    {"vending machine", "886"}, {"carousel", "476"}, {"shopping cart", "791"}, {"barrel", "427,756"}, {"box", "478,519"}, {"trash can", "412"},
    /* print */
    {"book", "917,921"}, {"menu", "922"}, {"web page", "916"}, {"envelope", "549"},
    {NULL, NULL},
};

const VocabularyWord VOCABULARY_SCENES[] = {
    {"mountain", "970"}, {"valley", "979"}, {"cliff", "972,976"}, {"volcano", "980"}, {"beach", "977-978"}, {"coast", "460,976-978"}, {"lake", "975"},
    {"geyser", "974"}, {"underwater", "973,983"}, {"harbor", "449,460,536,718"}, {"field", "958,984"}, {"farm", "425,595,856,866"}, {"street", "704,829,919-920"},
    {"patio", "706"}, {"greenhouse", "580"}, {"shop", "415,454,467,509,582,788,860,865"}, {"bakery", "415"}, {"bookshop", "454"}, {"grocery store", "582"},
    {"restaurant", "762"}, {"library", "624"}, {"barbershop", "424"}, {"cinema", "498,598"}, {"stage", "819,854"}, {"church interior", "406,884"},
    {"prison", "743"}, {"bathroom", "435,648,794,861,876,896"}, {"kitchen", "534,651,760,827,859"}, {"bedroom", "520,564"}, {"living room", "548,831"},
    {"office", "526-527"}, {"playground", "843"},
    /* Only what is hardly ever seen on the other side of a wall. */
    {"outdoor", "404,425,437,442,449,460,472,483-484,489,497,500,510,517,525,536,540,547,557,562,565,576,595,603,625,628,649,663,668,672,682,690,698,701,704,"
                "716,718,780,814,820-821,825,829,832,839,856,866,871,873,888,895,900,912,914-915,919-920,958,970,972,974-980,984"},
    {"indoor", "406,415,424,435,454,467,493,495,509,516,520,526,534,548,564,582,598,624,648,651,736,743,760,762,788,794,819,827,831,846,854,860-861,865,876,"
               "884,894,896-897"},
    {NULL, NULL},
};

const VocabularyWord VOCABULARY_ATTRIBUTES[] = {
    {"landscape", NULL}, {"portrait", NULL}, {"square", NULL}, {"panorama", NULL}, {"dark", NULL}, {"bright", NULL}, {"low-contrast", NULL}, {"high-contrast", NULL},
    {"grayscale", NULL}, {"colorful", NULL}, {"blurry", NULL}, {"plain background", NULL}, {"low-resolution", NULL}, {"high-resolution", NULL}, {"red", NULL},
    {"orange", NULL}, {"yellow", NULL}, {"green", NULL}, {"cyan", NULL}, {"blue", NULL}, {"purple", NULL}, {"pink", NULL}, {"brown", NULL}, {"black", NULL},
    {"gray", NULL}, {"white", NULL}, {NULL, NULL},
};

/* The next number or range of a list; false at its end. */
static bool next_range(const char **list, int *first, int *last) {
    char *end;
    if (!**list) return false;
    *first = *last = (int)strtol(*list, &end, 10);
    if (*end == '-') *last = (int)strtol(end + 1, &end, 10);
    *list = *end == ',' ? end + 1 : end;
    return true;
}

double vocabulary_probability(const VocabularyWord *word, const float probabilities[VOCABULARY_CLASSES]) {
    double sum = 0;
    const char *list = word->classes;
    for (int first, last; next_range(&list, &first, &last);)
        for (int i = first; i <= last; i++) sum += probabilities[i];
    return sum;
}

bool vocabulary_has_class(const VocabularyWord *word, int class_index) {
    const char *list = word->classes;
    for (int first, last; next_range(&list, &first, &last);)
        if (class_index >= first && class_index <= last) return true;
    return false;
}
