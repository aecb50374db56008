// SHA-256 (FIPS 180-4) of some bytes.
#pragma once
#include <cstdint>
#include <string>

namespace painn {

inline std::string sha256(const std::string& message) {  // 32 bytes
    static const uint32_t constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
        0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
        0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
        0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
        0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
        0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const auto turn = [](uint32_t x, int by) { return x >> by | x << (32 - by); };
    std::string padded = message + '\x80';
    padded.append((119 - message.size() % 64) % 64, '\0');
    for (int k = 7; k >= 0; k--) padded += (char)((uint64_t)message.size() * 8 >> 8 * k);
    for (size_t block = 0; block < padded.size(); block += 64) {
        uint32_t w[64], s[8];
        for (int k = 0; k < 16; k++) {
            w[k] = 0;
            for (int byte = 0; byte < 4; byte++) w[k] = w[k] << 8 | (unsigned char)padded[block + 4 * k + byte];
        }
        for (int k = 16; k < 64; k++)
            w[k] = w[k - 16] + (turn(w[k - 15], 7) ^ turn(w[k - 15], 18) ^ w[k - 15] >> 3) + w[k - 7] +
                   (turn(w[k - 2], 17) ^ turn(w[k - 2], 19) ^ w[k - 2] >> 10);
        for (int k = 0; k < 8; k++) s[k] = state[k];
        for (int k = 0; k < 64; k++) {
            const uint32_t chosen = (s[4] & s[5]) ^ (~s[4] & s[6]), most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            const uint32_t one = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + chosen + constants[k] + w[k];
            const uint32_t two = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + most;
            for (int j = 7; j > 0; j--) s[j] = s[j - 1];
            s[4] += one;
            s[0] = one + two;
        }
        for (int k = 0; k < 8; k++) state[k] += s[k];
    }
    std::string digest;
    for (uint32_t word : state)
        for (int k = 3; k >= 0; k--) digest += (char)(word >> 8 * k);
    return digest;
}

}  // namespace painn
