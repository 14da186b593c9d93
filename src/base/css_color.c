#include "base/css_color.h"

#include <ctype.h>
#include <string.h>

#include "base/banned.h"

enum { BYTES_MAX = 64 }; /* of ProjectClassInput.color */

/* Each between blanks, as the words to look up are. */
static const char NAMES[] =
    " aliceblue antiquewhite aqua aquamarine azure beige bisque black blanchedalmond blue blueviolet brown burlywood cadetblue chartreuse "
    "chocolate coral cornflowerblue cornsilk crimson cyan darkblue darkcyan darkgoldenrod darkgray darkgreen darkgrey darkkhaki darkmagenta "
    "darkolivegreen darkorange darkorchid darkred darksalmon darkseagreen darkslateblue darkslategray darkslategrey darkturquoise darkviolet "
    "deeppink deepskyblue dimgray dimgrey dodgerblue firebrick floralwhite forestgreen fuchsia gainsboro ghostwhite gold goldenrod gray green "
    "greenyellow grey honeydew hotpink indianred indigo ivory khaki lavender lavenderblush lawngreen lemonchiffon lightblue lightcoral "
    "lightcyan lightgoldenrodyellow lightgray lightgreen lightgrey lightpink lightsalmon lightseagreen lightskyblue lightslategray "
    "lightslategrey lightsteelblue lightyellow lime limegreen linen magenta maroon mediumaquamarine mediumblue mediumorchid mediumpurple "
    "mediumseagreen mediumslateblue mediumspringgreen mediumturquoise mediumvioletred midnightblue mintcream mistyrose moccasin navajowhite "
    "navy oldlace olive olivedrab orange orangered orchid palegoldenrod palegreen paleturquoise palevioletred papayawhip peachpuff peru pink "
    "plum powderblue purple rebeccapurple red rosybrown royalblue saddlebrown salmon sandybrown seagreen seashell sienna silver skyblue "
    "slateblue slategray slategrey snow springgreen steelblue tan teal thistle tomato transparent turquoise violet wheat white whitesmoke "
    "yellow yellowgreen ";
static const char FUNCTIONS[] = " rgb rgba hsl hsla hwb lab lch oklab oklch color ";

/* Is the word of that size, in small letters, in the list? */
static bool is_listed(const char *list, const char *word, size_t size) {
    char between[32] = " ";
    if (size == 0 || size > sizeof between - 3) return false;
    for (size_t i = 0; i < size; i++) {
        if (!isalpha((unsigned char)word[i])) return false;
        between[i + 1] = (char)tolower((unsigned char)word[i]);
    }
    between[size + 1] = ' ';
    return strstr(list, between);
}

/* 12, -0.5, 50%, 120deg */
static bool is_value(const char *word, size_t size) {
    size_t sign = word[0] == '+' || word[0] == '-', digits = strspn(word + sign, "0123456789."), unit = sign + digits;
    if (!digits || digits > size || digits == strspn(word + sign, ".")) return size == 4 && strncmp(word, "none", 4) == 0;
    return unit == size || (word[unit] == '%' && unit + 1 == size) || is_listed(" deg grad rad turn ", word + unit, size - unit);
}

static bool is_function(const char *text, size_t name) {
    if (text[name] != '(' || !is_listed(FUNCTIONS, text, name)) return false;
    const char *at = text + name + 1;
    at += strspn(at, " ");
    if (tolower((unsigned char)text[0]) == 'c') at += strcspn(at, " )"); /* its first word is the space: color(display-p3 1 0 0) */
    size_t values = 0;
    for (at += strspn(at, " ,/"); *at && *at != ')'; at += strspn(at, " ,/"), values++) {
        size_t size = strcspn(at, " ,/)");
        if (!is_value(at, size)) return false;
        at += size;
    }
    return at[0] == ')' && at[1] == '\0' && (values == 3 || values == 4);
}

bool css_color_is_valid(const char *text) {
    if (!text || strlen(text) > BYTES_MAX) return false;
    size_t size = strlen(text), hex = text[0] == '#' ? strspn(text + 1, "0123456789abcdefABCDEF") : 0;
    if (text[0] == '#') return hex + 1 == size && (hex == 3 || hex == 4 || hex == 6 || hex == 8);
    return is_listed(NAMES, text, size) || is_function(text, strcspn(text, "("));
}
