//! Making RSA keys, which ring cannot. Primes and arithmetic come from `crypto-primes` and `crypto-bigint`; ring checks
//! what comes out, and does all the signing.

use crate::der;
use crate::keys::{CryptoError, error};
use crypto_bigint::{NonZero, Odd, U1024, U2048};
use crypto_primes::hazmat::{SetBits, SmallFactorsSieveFactory};
use crypto_primes::{Flavor, is_prime, sieve_and_find};
use rand_core::UnwrapErr;

const PUBLIC_EXPONENT: u32 = 65537;

/// A new 2048-bit key as PKCS#8 DER. Takes tens of milliseconds of one core, sometimes hundreds: not for threads that
/// others wait for.
pub(crate) fn generate() -> Result<Vec<u8>, CryptoError> {
    loop {
        // Both primes have their two highest bits set, so that the product has exactly 2048.
        if let Some(key) = assemble(&prime()?, &prime()?) {
            return Ok(key);
        }
    }
}

fn prime() -> Result<U1024, CryptoError> {
    // A machine without randomness cannot run anything of this.
    let mut random = UnwrapErr(getrandom::SysRng);
    let none = || error("no prime found");
    let sieve = SmallFactorsSieveFactory::<U1024>::new(Flavor::Any, U1024::BITS, SetBits::TwoMsb);
    let found = sieve_and_find(&mut random, sieve.map_err(|_| none())?, |_, candidate| {
        is_prime(Flavor::Any, candidate)
    });
    found.ok().flatten().ok_or_else(none)
}

/// The key of two primes; `None` when they are no good together (equal, or one less than a multiple of the exponent).
fn assemble(p: &U1024, q: &U1024) -> Option<Vec<u8>> {
    let one = U1024::ONE;
    let (p_less, q_less) = (p.wrapping_sub(&one), q.wrapping_sub(&one));
    let modulus: U2048 = p.concatenating_mul(q);
    let totient: NonZero<U2048> = Option::from(NonZero::new(p_less.concatenating_mul(&q_less)))?;
    let private: U2048 = Option::from(U2048::from_u32(PUBLIC_EXPONENT).invert_mod(&totient))?;
    let remainder = |of: &U1024| -> Option<U1024> { Some(private.rem(&Option::from(NonZero::new(*of))?)) };
    let odd: Odd<U1024> = Option::from(Odd::new(*p))?;
    let coefficient: U1024 = Option::from(q.rem(&Option::from(NonZero::new(*p))?).invert_odd_mod(&odd))?;
    let number = |bytes: &dyn AsRef<[u8]>| der::unsigned(bytes.as_ref());
    let pkcs1 = der::sequence(&[
        &der::unsigned(&[0]),
        &number(&modulus.to_be_bytes()),
        &number(&PUBLIC_EXPONENT.to_be_bytes()),
        &number(&private.to_be_bytes()),
        &number(&p.to_be_bytes()),
        &number(&q.to_be_bytes()),
        &number(&remainder(&p_less)?.to_be_bytes()),
        &number(&remainder(&q_less)?.to_be_bytes()),
        &number(&coefficient.to_be_bytes()),
    ]);
    let algorithm = der::sequence(&[&der::oid(der::OID_RSA_ENCRYPTION), &der::null()]);
    Some(der::sequence(&[&der::unsigned(&[0]), &algorithm, &der::octet_string(&pkcs1)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_primes_make_no_key() {
        let prime = prime().unwrap();
        assert_eq!(assemble(&prime, &prime), None);
        assert_eq!(prime.bits(), 1024);
    }
}
