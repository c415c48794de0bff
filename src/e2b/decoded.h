#ifndef E2B_DECODED_H
#define E2B_DECODED_H

/* What a decoder of a stream has. Private to libe2b. */
enum decoded {
    DECODED_NONE,     /* more bytes are needed */
    DECODED_ONE,      /* here is one */
    DECODED_TOO_LARGE /* the next is larger than allowed; the stream is of no use any more */
};

#endif
