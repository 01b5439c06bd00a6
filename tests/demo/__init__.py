"""`make demo`: the same mail through a plain relayhost and through one with post365.

    traffic   what is sent, and how each kind of client sends it
    runs      one run: a stand-in for Office 365, a relay, the traffic
    fate      what became of each message: from the stand-in's journal, Postfix's log and queue
    phone     the phone rings: what the admin sees when mail waits
    passwords the last day of passwords: an account goes on with OAuth2, another one is moved over
    report    the page that it prints
"""
