// How rows and queries become codes; each instruction set compiles these loops for itself.

/// Below this a row is all zeros: its inverse would not be a number.
#define CODE_MAGNITUDE_MIN 1e-30f
/// Above this the square of a row may not be a number; its scale says so by being infinite.
#define CODE_MAGNITUDE_MAX 1e17f

/// The integer nearest to x, which is less than 2^22 in magnitude: nearest even.
CK_INLINE int32_t nearest(float x) {
    union {
        float value;
        int32_t bits;
    } u = {x + 0x1.8p23f};
    return u.bits - 0x4B400000;
}

/// The largest magnitude of factor * x - centre; `centre` may be NULL.
CK_INLINE float largest_magnitude(const float *x, float factor, const float *centre, size_t d) {
#pragma clang fp contract(off)
    uint32_t largest = 0;
    for (size_t i = 0; i < d; i++) {
        union {
            float value;
            uint32_t bits;
        } u = {x[i] * factor - (centre ? centre[i] : 0)};
        uint32_t magnitude = u.bits & 0x7FFFFFFFu;  // ordered as the floats are
        largest = magnitude > largest ? magnitude : largest;
    }
    union {
        uint32_t bits;
        float value;
    } u = {largest};
    return u.value;
}

static void encode(const float *x, float factor, const float *centre, size_t d, int l2, uint8_t *row, size_t stride) {
#pragma clang fp contract(off)
    float largest = largest_magnitude(x, factor, centre, d);
    if (!(largest <= CODE_MAGNITUDE_MAX)) {
        float unusable[2] = {INFINITY, 0};
        memset(row, 0, stride);
        memcpy(row + stride - 8, unusable, 8);
        return;
    }
    int is_zero = largest < CODE_MAGNITUDE_MIN;
    float scale = is_zero ? 0 : largest / 127, inverse = is_zero ? 0 : 127 / largest;
    int32_t square = 0;
    for (size_t i = 0; i < d; i++) {
        int32_t code = nearest((x[i] * factor - centre[i]) * inverse);
        square += code * code;
        row[i] = (uint8_t)(code + 128);
    }
    memset(row + d, 0, stride - 8 - d);
    // -|q - x|^2 = 2 q.x - |x|^2 and what is the query's own; the length is that of the codes, not of the row: their
    // distance from the query is off by less than their product with it.
    float header[2] = {l2 ? 2 * scale : scale, l2 ? -((float)square * scale * scale) : 0};
    memcpy(row + stride - 8, header, 8);
}

CK_INLINE int32_t encode_against(const float *q, const float *centre, size_t d, int8_t *codes, float *scale) {
#pragma clang fp contract(off)
    float largest = largest_magnitude(q, 1, centre, d);
    int is_zero = largest < CODE_MAGNITUDE_MIN;
    float inverse = is_zero ? 0 : 127 / largest;
    *scale = is_zero ? 0 : largest / 127;
    int32_t sum = 0;
    for (size_t i = 0; i < d; i++) {
        int32_t code = nearest((q[i] - (centre ? centre[i] : 0)) * inverse);
        sum += code;
        codes[i] = (int8_t)code;
    }
    return -128 * sum;
}

static int32_t encode_query(const float *q, const float *centre, size_t d, int8_t *codes, size_t bytes, float *scale) {
    memset(codes + d, 0, bytes - d);
    return centre ? encode_against(q, centre, d, codes, scale) : encode_against(q, NULL, d, codes, scale);
}

const ck_codes CODES_TABLE = {.gather = gather, .encode = encode, .encode_query = encode_query};
