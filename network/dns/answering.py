"""From a query in wire form to an answer in wire form, by the zone; None when somebody else must be asked. Pure."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rrset

from network.dns.zone import Answer, Records, Zone

#: Seconds a client may keep an answer of the cluster zone (CoreDNS's default).
CLUSTER_TTL = 5
#: UDP answers above this are truncated unless the client said it takes more.
PLAIN_UDP_SIZE = 512
MAX_UDP_SIZE = 1232


class ExternalAlias(Exception):
    """A cluster name stands for an outside name: the caller resolves ``target`` and completes the answer."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


def parse_query(wire: bytes) -> dns.message.QueryMessage | None:
    """The query, or None for what is not worth an answer."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    if message.flags & dns.flags.QR or message.opcode() != dns.opcode.QUERY or len(message.question) != 1:
        return None
    return message if isinstance(message, dns.message.QueryMessage) else None


def answer_query(zone: Zone, query: dns.message.QueryMessage) -> dns.message.Message | None:
    """The answer from the cluster zone, or None when the name is not of the cluster."""
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    found = zone.resolve(name)
    if found.elsewhere:
        return None
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    _fill(zone, response, question, name, found)
    return response


def _fill(zone: Zone, response: dns.message.Message, question: dns.rrset.RRset, name: str, found: Answer) -> None:
    records, rdtype = found.records, question.rdtype
    if not found.exists:
        response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(_soa(zone))
        return
    if records.cname:
        _fill_alias(zone, response, question, records.cname)
        return
    values = _values(zone, records, rdtype)
    if not values:
        response.authority.append(_soa(zone))
        return
    response.answer.append(dns.rrset.from_text_list(question.name, CLUSTER_TTL, "IN", rdtype, values))
    if rdtype == dns.rdatatype.SRV:
        for target in dict.fromkeys(srv.target for srv in records.services):
            absolute = zone.absolute(target)
            for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
                addresses = _values(zone, zone.resolve(absolute).records, kind)
                if addresses:
                    response.additional.append(
                        dns.rrset.from_text_list(absolute + ".", CLUSTER_TTL, "IN", kind, addresses)
                    )


def _fill_alias(zone: Zone, response: dns.message.Message, question: dns.rrset.RRset, target: str) -> None:
    is_pointer = question.name.to_text().lower().endswith((".in-addr.arpa.", ".ip6.arpa."))
    if is_pointer:
        if question.rdtype in (dns.rdatatype.PTR, dns.rdatatype.ANY):
            response.answer.append(
                dns.rrset.from_text(question.name, CLUSTER_TTL, "IN", dns.rdatatype.PTR, target + ".")
            )
        else:
            response.authority.append(_soa(zone))
        return
    response.answer.append(dns.rrset.from_text(question.name, CLUSTER_TTL, "IN", dns.rdatatype.CNAME, target + "."))
    if question.rdtype == dns.rdatatype.CNAME:
        return
    inside = zone.resolve(target)
    if inside.elsewhere:
        raise ExternalAlias(target)
    values = _values(zone, inside.records, question.rdtype)
    if values:
        response.answer.append(dns.rrset.from_text_list(target + ".", CLUSTER_TTL, "IN", question.rdtype, values))


def _values(zone: Zone, records: Records, rdtype: dns.rdatatype.RdataType) -> list[str]:
    if rdtype == dns.rdatatype.A:
        return [address for address in records.addresses if ":" not in address]
    if rdtype == dns.rdatatype.AAAA:
        return [address for address in records.addresses if ":" in address]
    if rdtype == dns.rdatatype.SRV and records.services:
        weight = max(100 // len(records.services), 1)
        return [f"0 {weight} {srv.port} {zone.absolute(srv.target)}." for srv in records.services]
    if rdtype == dns.rdatatype.TXT and records.text:
        return [f'"{records.text}"']
    return []


def _soa(zone: Zone) -> dns.rrset.RRset:
    domain = zone.domain
    return dns.rrset.from_text(
        domain + ".", CLUSTER_TTL, "IN", "SOA", f"ns.dns.{domain}. hostmaster.{domain}. 1 7200 1800 86400 {CLUSTER_TTL}"
    )


def complete_alias(
    response_to: dns.message.QueryMessage, target: str, found: dns.message.Message
) -> dns.message.Message:
    """The answer to an ExternalName query: the CNAME, then what upstream said of its target."""
    question = response_to.question[0]
    response = dns.message.make_response(response_to, recursion_available=True)
    response.answer.append(dns.rrset.from_text(question.name, CLUSTER_TTL, "IN", dns.rdatatype.CNAME, target + "."))
    response.answer.extend(found.answer)
    return response


def to_wire(response: dns.message.Message, query: dns.message.Message, *, udp: bool) -> bytes:
    """Wire form; over UDP truncated (TC) to what the client takes, so that it comes again by TCP."""
    if not udp:
        return response.to_wire(max_size=65535)
    size = PLAIN_UDP_SIZE if query.edns < 0 else min(max(query.payload, PLAIN_UDP_SIZE), MAX_UDP_SIZE)
    try:
        return response.to_wire(max_size=size)
    except dns.exception.TooBig:
        short = dns.message.make_response(query, recursion_available=True)
        short.flags |= dns.flags.TC
        return short.to_wire()


def error_response(query: dns.message.QueryMessage, rcode: dns.rcode.Rcode) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(rcode)
    return response
