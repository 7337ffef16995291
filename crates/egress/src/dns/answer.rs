//! One question and its answer. Nothing is asked outside for it: whatever is in a name, it stays here.
//!
//! A name gets addresses of the range, whether or not it exists: nobody has allowed yet to ask. Answered are `A`, `AAAA`, and
//! `PTR` of the range. All else, such as `HTTPS` and `SVCB`, through which keys for hiding the name (ECH) would come, has no
//! records.

use crate::name::Name;
use crate::range::Names;
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::AnswerBuilder;
use domain::base::{Message, MessageBuilder, Question, ToName, Ttl};
use domain::rdata::{A, Aaaa, Ptr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long an answer holds. A name keeps its address, but other sandboxes give it another one.
const TTL: Ttl = Ttl::from_secs(60);

type DomainName = domain::base::Name<Vec<u8>>;
type Builder = AnswerBuilder<Vec<u8>>;

/// What is known of a name.
enum Found {
    Addresses(Ipv4Addr, Ipv6Addr),
    Pointer(DomainName),
    /// No host can be called so.
    Nothing,
    /// There is no room for it.
    NoRoom,
}

/// Answers one message; nothing to what is no question.
pub(super) fn answer(message: &[u8], names: &Names) -> Option<Vec<u8>> {
    let message = Message::from_octets(message).ok()?;
    let header = message.header();
    if header.qr() {
        return None;
    }
    let builder = || MessageBuilder::from_target(Vec::with_capacity(512)).ok();
    if header.opcode() != Opcode::QUERY {
        return Some(builder()?.start_error(&message, Rcode::NOTIMP).finish());
    }
    let Ok(question) = message.sole_question() else {
        return Some(builder()?.start_error(&message, Rcode::FORMERR).finish());
    };
    let found = match question.qclass() {
        Class::IN => look_up(&question, names),
        _ => return Some(builder()?.start_error(&message, Rcode::REFUSED).finish()),
    };
    let code = match &found {
        Found::Addresses(..) | Found::Pointer(_) => Rcode::NOERROR,
        Found::Nothing => Rcode::NXDOMAIN,
        Found::NoRoom => Rcode::SERVFAIL,
    };
    let mut answer = builder()?.start_answer(&message, code).ok()?;
    answer.header_mut().set_ra(true);
    push(&mut answer, &question, &found)?;
    let mut rest = answer.additional();
    if message.opt().is_some() {
        rest.opt(|opt| {
            opt.set_udp_payload_size(1232);
            Ok(())
        })
        .ok()?;
    }
    Some(rest.finish())
}

fn push<N: ToName>(answer: &mut Builder, question: &Question<N>, found: &Found) -> Option<()> {
    let owner = question.qname();
    let pushed = match (found, question.qtype()) {
        (Found::Addresses(v4, _), Rtype::A) => answer.push((owner, TTL, A::new(*v4))),
        (Found::Addresses(_, v6), Rtype::AAAA) => answer.push((owner, TTL, Aaaa::new(*v6))),
        (Found::Pointer(name), Rtype::PTR) => answer.push((owner, TTL, Ptr::new(name))),
        _ => Ok(()),
    };
    pushed.ok()
}

fn look_up<N: ToName>(question: &Question<N>, names: &Names) -> Found {
    let written = question.qname().to_vec().to_string();
    if let Some(address) = reversed(&written.to_ascii_lowercase()) {
        let name = names.name_of(address).and_then(|name| name.as_str().parse().ok());
        let loopback = || address.is_loopback().then(|| "localhost".parse().ok()).flatten();
        return name.or_else(loopback).map_or(Found::Nothing, Found::Pointer);
    }
    match Name::new(&written) {
        None => Found::Nothing,
        Some(name) if name.is_localhost() => Found::Addresses(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        Some(name) => match names.addresses_of(&name) {
            Some((v4, v6)) => Found::Addresses(v4, v6),
            None => Found::NoRoom,
        },
    }
}

/// The address that a name asks back from (RFC 1035, section 3.5; RFC 3596, section 2.5).
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(octets) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<u8> = octets.split('.').map(|octet| octet.parse().ok()).collect::<Option<_>>()?;
        let [d, c, b, a] = octets.try_into().ok()?;
        return Some(Ipv4Addr::new(a, b, c, d).into());
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for digit in digits.split('.').rev() {
        if digit.len() != 1 || count == 32 {
            return None;
        }
        bits = bits << 4 | u128::from(u8::from_str_radix(digit, 16).ok()?);
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Range;
    use proptest::prelude::*;

    fn ask(names: &Names, name: &str, kind: Rtype) -> (Rcode, Vec<String>) {
        let mut question = MessageBuilder::new_vec().question();
        question.push((name.parse::<DomainName>().unwrap(), kind)).unwrap();
        let answered = answer(&question.finish(), names).unwrap();
        let message = Message::from_octets(answered).unwrap();
        let records = message.answer().unwrap().limit_to::<domain::rdata::AllRecordData<_, _>>();
        (message.header().rcode(), records.map(|record| record.unwrap().data().to_string()).collect())
    }

    #[test]
    fn every_name_has_addresses_of_the_range_and_nothing_else() {
        let names = Names::new(Range::SANDBOX);
        let (code, v4) = ask(&names, "Secret.Example.", Rtype::A);
        assert_eq!((code, v4.clone()), (Rcode::NOERROR, vec!["198.18.1.0".to_owned()]));
        assert_eq!(ask(&names, "secret.example", Rtype::AAAA).1, ["fd5e:94a1:7c3b::100"]);
        for none in [Rtype::HTTPS, Rtype::SVCB, Rtype::TXT, Rtype::MX, Rtype::SRV, Rtype::ANY, Rtype::NULL] {
            assert_eq!(ask(&names, "secret.example", none), (Rcode::NOERROR, vec![]), "{none}");
        }
        assert_eq!(ask(&names, "0.1.18.198.in-addr.arpa", Rtype::PTR).1, ["secret.example."]);
        let six = "0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.3.c.7.1.a.4.9.e.5.d.f.ip6.arpa";
        assert_eq!(ask(&names, six, Rtype::PTR).1, ["secret.example."]);
        assert_eq!(ask(&names, "9.1.18.198.in-addr.arpa", Rtype::PTR).0, Rcode::NXDOMAIN);
        assert_eq!(ask(&names, "1.1.1.1.in-addr.arpa", Rtype::PTR).0, Rcode::NXDOMAIN);
    }

    #[test]
    fn localhost_is_the_askers_own_and_numbers_are_no_names() {
        let names = Names::new(Range::SANDBOX);
        assert_eq!(ask(&names, "localhost", Rtype::A).1, ["127.0.0.1"]);
        assert_eq!(ask(&names, "app.localhost", Rtype::AAAA).1, ["::1"]);
        assert_eq!(ask(&names, "1.0.0.127.in-addr.arpa", Rtype::PTR).1, ["localhost."]);
        for number in ["127.1", "0x7f.1", "10.0.0.1", "2130706433"] {
            assert_eq!(ask(&names, number, Rtype::A).0, Rcode::NXDOMAIN, "{number}");
        }
    }

    #[test]
    fn what_is_no_question_gets_no_records() {
        let names = Names::new(Range::SANDBOX);
        assert_eq!(answer(b"", &names), None);
        let mut header = [0_u8; 12];
        header[2] = 0x80;
        assert_eq!(answer(&header, &names), None, "an answer");
        header[2] = 0x28;
        let update = answer(&header, &names).unwrap();
        assert_eq!(Message::from_octets(update).unwrap().header().rcode(), Rcode::NOTIMP);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(message in prop::collection::vec(any::<u8>(), 0..600)) {
            let names = Names::new(Range::SANDBOX);
            let answered = answer(&message, &names);
            prop_assert!(answered.is_none_or(|answered| answered.len() <= 1232));
        }
    }
}
